"""All SQL of the posts service. Stores return facts; posts_service/posts.py decides what they mean."""
