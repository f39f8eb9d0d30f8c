"""A Flask application: a form, a session cookie, a page by template, an upload, an error page."""

import hashlib
import os

from flask import Flask, jsonify, render_template_string, request, session

app = Flask(__name__)
app.secret_key = os.environ["SECRET"]
PAGE = "<h1>{{ name }}</h1>{% for item in items %}<li>{{ item }}</li>{% endfor %}"


@app.get("/hello/<name>")
def hello(name):
    return render_template_string(PAGE, name=name, items=request.args.getlist("item"))


@app.post("/count")
def count():
    session["count"] = session.get("count", 0) + int(request.form["by"])
    return jsonify(count=session["count"])


@app.put("/files/<path:path>")
def upload(path):
    digest = hashlib.sha256()
    for part in iter(lambda: request.stream.read(1 << 16), b""):
        digest.update(part)
    return jsonify(path=path, sha256=digest.hexdigest(), pid=os.getpid())


@app.errorhandler(404)
def missing(error):
    return jsonify(error="no such page", path=request.path), 404
