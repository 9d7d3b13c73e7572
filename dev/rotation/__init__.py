"""The rotation drill: the shared secret is exchanged under load, and no client is to notice.

Two replicas of each service share one key file. Clients log in, read and write without a break, while an operator adds
a key, sees a broken file through, promotes the key and retires the old one, all with the real commands. What counts is
how many requests failed, and how many clients had to log in because their token was refused: none and none.
"""
