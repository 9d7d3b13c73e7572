"""The OpenAPI documents, and whether the services keep to them."""
