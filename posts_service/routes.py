"""Every address of the posts service, and the scope that it wants."""

from posts_service import handlers
from posts_service.model import READ, WRITE
from shared.routes import Route

ROUTES = (
    Route("GET", "/posts", handlers.page, READ),
    Route("POST", "/posts", handlers.create, WRITE),
    Route("DELETE", "/posts", handlers.delete_own, WRITE),
    Route("GET", "/posts/{id}", handlers.show, READ),
    Route("PATCH", "/posts/{id}", handlers.edit, WRITE),
    Route("DELETE", "/posts/{id}", handlers.delete, WRITE),
)
