"""The rotation drill: the shared secret is replaced under load, and no client may notice.

Two replicas of each service share one key file. Clients log in, read and write without pause, while an operator adds a
key, sees the file broken and restored, promotes the new key and retires the old one, all with the real commands. Two
figures count, and both must be 0: failed requests, and log-ins forced by a refused token.
"""
