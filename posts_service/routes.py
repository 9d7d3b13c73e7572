"""Every address of the posts service: the scope that it wants, what it takes and what it answers."""

from posts_service import handlers, schemas
from posts_service.errors import IdempotencyMismatch, NotTheAuthor, VersionMismatch
from posts_service.model import READ, WRITE
from shared.conditions import IF_MATCH, IF_NONE_MATCH
from shared.routes import JSON, Reply, Route

MERGE_PATCH = "application/merge-patch+json"

_POST = Reply(200, "The post", schemas.POST, headers=(schemas.ETAG,))

ROUTES = (
    Route(
        "GET",
        "/posts",
        handlers.page,
        READ,
        query=schemas.PageWanted,
        replies=(Reply(200, "A page, the newest first", schemas.PAGE, sometimes=(schemas.LINK,)),),
    ),
    Route(
        "POST",
        "/posts",
        handlers.create,
        WRITE,
        headers=(schemas.IDEMPOTENCY_KEY,),
        body=schemas.NewPost,
        replies=(Reply(201, "It is written", schemas.POST, headers=(schemas.ETAG, schemas.LOCATION)),),
        errors=(IdempotencyMismatch,),
    ),
    Route(
        "DELETE",
        "/posts",
        handlers.delete_own,
        WRITE,
        query=schemas.Removal,
        replies=(Reply(200, "They are gone", schemas.REMOVED),),
    ),
    Route(
        "GET",
        "/posts/{id}",
        handlers.show,
        READ,
        id=schemas.POST_ID,
        headers=(IF_NONE_MATCH,),
        replies=(_POST, Reply(304, "It is as it was", headers=(schemas.ETAG,))),
    ),
    Route(
        "PATCH",
        "/posts/{id}",
        handlers.edit,
        WRITE,
        id=schemas.POST_ID,
        headers=(IF_MATCH,),
        body=schemas.Change,
        media_types=(JSON, MERGE_PATCH),
        replies=(_POST,),
        errors=(NotTheAuthor, VersionMismatch),
    ),
    Route(
        "DELETE",
        "/posts/{id}",
        handlers.delete,
        WRITE,
        id=schemas.POST_ID,
        headers=(IF_MATCH,),
        replies=(Reply(204, "It is gone"),),
        errors=(NotTheAuthor, VersionMismatch),
    ),
)
