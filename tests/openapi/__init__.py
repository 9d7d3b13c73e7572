"""Tests of the OpenAPI documents, and of the services against them."""
