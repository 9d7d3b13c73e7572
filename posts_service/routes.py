"""Every route of the posts service: the scope that it needs, what goes in and what comes out."""

from posts_service import schemas
from posts_service.errors import (
    IdempotencyMismatch,
    NotTheAuthor,
    SearchTooExpensive,
    TooManyRequests,
    VersionMismatch,
)
from posts_service.handlers import posts
from posts_service.model import READ, WRITE
from shared.http.conditional_requests import IF_MATCH, IF_NONE_MATCH
from shared.http.routes import JSON, Reply, Route

MERGE_PATCH = "application/merge-patch+json"

_POST = Reply(200, "The post", schemas.POST, headers=(schemas.ETAG,))

ROUTES = (
    Route(
        "GET",
        "/posts",
        posts.page,
        READ,
        query=schemas.PageQuery,
        replies=(Reply(200, "A page, newest first", schemas.PAGE, sometimes=(schemas.LINK,)),),
        errors=(SearchTooExpensive,),
        private=True,
    ),
    Route(
        "POST",
        "/posts",
        posts.create,
        WRITE,
        headers=(schemas.IDEMPOTENCY_KEY,),
        body=schemas.NewPost,
        replies=(Reply(201, "The post was created", schemas.POST, headers=(schemas.ETAG, schemas.LOCATION)),),
        errors=(IdempotencyMismatch, TooManyRequests),
        private=True,
    ),
    Route(
        "DELETE",
        "/posts",
        posts.delete_own,
        WRITE,
        query=schemas.DeletionQuery,
        replies=(Reply(200, "The posts were deleted", schemas.REMOVED),),
        errors=(TooManyRequests,),
        private=True,
    ),
    Route(
        "GET",
        "/posts/{id}",
        posts.show,
        READ,
        id=schemas.POST_ID,
        headers=(IF_NONE_MATCH,),
        replies=(_POST, Reply(304, "Not modified", headers=(schemas.ETAG,))),
    ),
    Route(
        "PATCH",
        "/posts/{id}",
        posts.edit,
        WRITE,
        id=schemas.POST_ID,
        headers=(IF_MATCH,),
        body=schemas.Change,
        media_types=(JSON, MERGE_PATCH),
        replies=(_POST,),
        errors=(NotTheAuthor, VersionMismatch, TooManyRequests),
        private=True,
    ),
    Route(
        "DELETE",
        "/posts/{id}",
        posts.delete,
        WRITE,
        id=schemas.POST_ID,
        headers=(IF_MATCH,),
        replies=(Reply(204, "The post was deleted"),),
        errors=(NotTheAuthor, VersionMismatch, TooManyRequests),
        private=True,
    ),
)
