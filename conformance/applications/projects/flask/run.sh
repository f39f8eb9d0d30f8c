#!/bin/sh
# Two processes of Gunicorn, as people run Flask; /tmp is the only folder that can be written.
exec python3 -m gunicorn --bind "127.0.0.1:$PORT" --workers 2 --worker-tmp-dir /tmp --access-logfile - app:app
