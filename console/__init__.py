"""The console: a page for learning and debugging, and the small server that delivers it.

The page is an ordinary client: the browser calls both services directly. The server holds no keys, tokens or data, and
forwards no requests.
"""
