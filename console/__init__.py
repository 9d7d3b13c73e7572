"""The console: a page for whoever learns or debugs, and the small server that hands it out.

The page is a client of two base URLs like any other: the browser calls both services itself. The server holds no key,
no token and no data, and passes nothing on.
"""
