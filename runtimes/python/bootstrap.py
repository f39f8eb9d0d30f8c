"""Runs one Python function for Flint: frames on descriptor 3 in, answers out.

The protocol is docs/decisions/004-frame.md; the conventions of the handler, its context, its errors and its log lines are
AWS Lambda's. Start it as `python3 -S -E -s -P bootstrap.py` (no -P before 3.11) with a Unix stream socket on descriptor 3
and the log pipe on 1 and 2. One file, standard library only, Python 3.6 and later.

A start costs what is imported, so this file imports as little as it can: os, sys and time are there anyway, the JSON
scanner and encoder are taken from the C module without the regular expressions of the json package, and traceback, logging
and asyncio come only when an error, the user's code or a coroutine asks for them.
"""

import os
import sys
from _struct import Struct
from time import monotonic

SOCKET = 3
INIT, READY, INVOKE, DATA, ERROR, CANCEL, SHUTDOWN, FORK, HELLO = 2, 3, 4, 5, 6, 7, 11, 12, 1
END = 1
MAX_FRAME = 8 * 1024 * 1024
HEAD = Struct(">IBBxxI")  # length, kind, flags, stream
CHUNK = 1024 * 1024
READ_AT_ONCE = 64 * 1024
PLAIN = frozenset((dict, list, str, int, float, bool, type(None)))
LAYERS = "/opt/python"
# What functions import most. A process that is started before its function is known has the time to load it.
OFTEN = ("json", "logging", "datetime", "base64", "urllib.parse", "typing", "decimal")


def leave(code):
    """Ends the process at once: what was printed is written, threads of the function are not waited for."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    os._exit(code)


# ---------------------------------------------------------------- JSON


class _Scan(object):
    """What the C scanner wants to know of a decoder."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo = {}

    @staticmethod
    def parse_constant(name):
        return {"-Infinity": -float("inf"), "Infinity": float("inf"), "NaN": float("nan")}[name]


def _full_loads(data):
    import json

    return json.loads(data if isinstance(data, str) else bytes(data))


try:
    from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

    _scan = make_scanner(_Scan)

    def loads(data):
        """json.loads for UTF-8 bytes. Whatever the scanner dislikes goes to the json package, for its error text."""
        try:
            text = str(data, "utf-8").strip(" \t\r\n")
            value, end = _scan(text, 0)
            if end == len(text):
                return value
        except (StopIteration, ValueError, SystemError):
            pass  # SystemError: the scanner of 3.11 wants to raise an exception of json.decoder, which is not imported
        return _full_loads(data)

except Exception:  # another implementation of Python, or a changed internal interface
    make_encoder = None
    loads = _full_loads


class Encoder(object):
    """json.dumps with Lambda's settings: ", " and ": ", NaN allowed, ASCII only before Python 3.12, Decimal as a number."""

    def __init__(self):
        name = os.environ.get("AWS_EXECUTION_ENV") or ""
        version = sys.version_info[:2]
        if name.startswith("AWS_Lambda_python3."):
            try:
                version = (3, int(name[19:]))
            except ValueError:
                pass
        self.ascii = version < (3, 12)
        self.mark = None
        self._build()

    def _build(self):
        if make_encoder is None:
            import json

            whole = json.JSONEncoder(ensure_ascii=self.ascii, default=self._other)
            self._chunks = lambda value, _level: (whole.encode(value),)
            return
        text = encode_basestring_ascii if self.ascii else encode_basestring
        self._chunks = make_encoder({}, self._other, text, None, ": ", ", ", False, False, True)

    def _other(self, value):
        # A Decimal can only exist if somebody imported the module. The C encoder cannot write a bare number for it, so it
        # goes as a marked string and encode() strips quotes and marks; the mark is random, so no text can pretend to be one.
        decimal = sys.modules.get("decimal")
        if decimal is not None and isinstance(value, decimal.Decimal):
            if value.is_nan():
                return float("nan")
            if self.mark is None:
                self.mark = os.urandom(12).hex()
            return "<%s:%s:%s>" % (self.mark, value, self.mark)
        raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)

    def encode(self, value):
        """The JSON text of value as UTF-8 bytes. Raises what json.dumps raises."""
        try:
            text = "".join(self._chunks(value, 0))
        except BaseException:
            self._build()  # the encoder remembers what it was inside of; after an error that memory is stale
            raise
        if self.mark is not None:
            text = text.replace('"<%s:' % self.mark, "").replace(':%s>"' % self.mark, "")
        try:
            return text.encode("utf-8")
        except UnicodeEncodeError:  # a lone surrogate has no UTF-8 form, but Python's escape for it is JSON's too
            return text.encode("utf-8", "backslashreplace")


# ---------------------------------------------------------------- frames


class Channel(object):
    """The socket. Reads whole frames, keeps what came early, writes answers."""

    def __init__(self):
        self.rest = b""
        os.set_inheritable(SOCKET, False)

    def next(self):
        """The next frame: kind, flags, stream, body. Ends the process when the host has gone."""
        data = self.rest or self._read()
        while len(data) < 12:
            data += self._read()
        size, kind, flags, stream = HEAD.unpack_from(data)
        end = 12 + size
        if size > MAX_FRAME:
            sys.stderr.write("flint: frame of %d bytes is over the limit of %d\n" % (size, MAX_FRAME))
            leave(70)
        if len(data) == end:
            self.rest = b""
            return kind, flags, stream, data[12:]
        if len(data) > end:
            self.rest = data[end:]
            return kind, flags, stream, data[12:end]
        body = bytearray(size)
        have = len(data) - 12
        body[:have] = data[12:]
        view = memoryview(body)
        while have < size:
            got = os.readv(SOCKET, [view[have:]])
            if not got:
                leave(0)
            have += got
        self.rest = b""
        return kind, flags, stream, body

    def waiting(self):
        """True when a frame has begun to arrive that next() would return without asking the socket first."""
        return bool(self.rest)

    def _read(self):
        try:
            data = os.read(SOCKET, READ_AT_ONCE)
        except ConnectionError:
            data = b""
        if not data:
            leave(0)
        return data

    def send(self, kind, flags, stream, body=b""):
        """Writes one frame."""
        head = HEAD.pack(len(body), kind, flags, stream)
        try:
            if len(body) <= READ_AT_ONCE:
                data = head + body
                sent = os.write(SOCKET, data)
                if sent == len(data):
                    return
                view = memoryview(data)[sent:]
            else:
                sent = os.writev(SOCKET, [head, body])
                view = memoryview(head)[sent:]
                while view:
                    view = view[os.write(SOCKET, view):]
                view = memoryview(body)[max(0, sent - 12):]
            while view:
                view = view[os.write(SOCKET, view):]
        except ConnectionError:
            leave(0)

    def answer(self, stream, body):
        """Writes an answer: one DATA frame with END, or several of at most CHUNK bytes."""
        if len(body) <= CHUNK:
            self.send(DATA, END, stream, body)
            return
        view = memoryview(body)
        last = (len(body) - 1) // CHUNK * CHUNK
        for at in range(0, len(body), CHUNK):
            self.send(DATA, END if at == last else 0, stream, view[at:at + CHUNK])


# ---------------------------------------------------------------- errors and logs


class Fault(Exception):
    """An error with a name of the platform, `Runtime.…`."""

    def __init__(self, kind, message, trace=None):
        Exception.__init__(self, message)
        self.kind = kind
        self.trace = trace or []


def error_body(kind, message, trace, request_id=""):
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}


def describe(error, request_id=""):
    """The error body of an exception; the leading frames that belong to this file are left out."""
    if isinstance(error, Fault):
        return error_body(error.kind, str(error), error.trace, request_id)
    import traceback

    frames = [(f.filename, f.lineno, f.name, f.line) for f in traceback.extract_tb(error.__traceback__)]
    for at, frame in enumerate(frames):
        if frame[0] != leave.__code__.co_filename:  # not __file__: that is the compiled file where one is run
            frames = frames[at:]
            break
    try:
        message = str(error)
    except Exception:
        message = "<exception str() failed>"
    return error_body(type(error).__name__, message, traceback.format_list(frames), request_id)


def log_error(body):
    """Lambda's text form: one `[ERROR] Type: message` line, then the trace with no-break spaces as indentation. Or JSON."""
    if json_logs():
        from time import gmtime, strftime

        entry = {"timestamp": strftime("%Y-%m-%dT%H:%M:%SZ", gmtime()), "level": "ERROR"}
        entry.update(body)
        sys.stdout.write(Encoder().encode(entry).decode("utf-8") + "\n")
        return
    kind, message = body["errorType"], body["errorMessage"]
    lines = ["[ERROR] " + kind + (": " + message if message else ""), "Traceback (most recent call last):"]
    for entry in body["stackTrace"]:
        for line in entry.splitlines():
            text = line.lstrip(" ")
            lines.append("\u00a0" * (len(line) - len(text)) + text)
    sys.stdout.write("\n".join(lines) + "\n")


def json_logs():
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


class Now(object):
    """The invocation under way, for log lines."""

    request_id = ""


def install_logging(logging):
    """Gives the root logger Lambda's handler. Called when the logging module has just been executed."""

    class LambdaHandler(logging.Handler):
        def emit(self, record):
            try:
                sys.stdout.write(self.format(record))
            except Exception:
                self.handleError(record)

    class RequestId(logging.Filter):
        def filter(self, record):
            record.aws_request_id = Now.request_id
            return True

    from time import gmtime

    logging.Formatter.converter = gmtime
    handler = LambdaHandler()
    text = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
    handler.setFormatter(
        json_formatter(logging) if json_logs() else logging.Formatter(text, "%Y-%m-%dT%H:%M:%S")
    )
    handler.addFilter(RequestId())
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    if level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        root.setLevel(level)


def json_formatter(logging):
    """Lambda's JSON form of a record: one object a line, with what the caller gave as `extra`."""
    import json

    usual = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id"}

    class JsonFormatter(logging.Formatter):
        def format(self, record):
            whole = isinstance(record.msg, dict) and not record.args
            entry = {
                "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
                "level": record.levelname,
                "message": record.msg if whole else record.getMessage(),
                "logger": record.name,
            }
            if record.exc_info and record.exc_info[0] is not None:
                import traceback

                entry["stackTrace"] = traceback.format_tb(record.exc_info[2])
                entry["errorType"] = record.exc_info[0].__name__
                entry["errorMessage"] = str(record.exc_info[1])
                entry["location"] = "%s:%s:%s" % (record.pathname, record.funcName, record.lineno)
            entry["requestId"] = record.aws_request_id
            for name, value in vars(record).items():
                if name not in usual and value is not None:
                    entry.setdefault(name, value)
            return json.dumps(entry, ensure_ascii=False, default=str) + "\n"

    return JsonFormatter()


class LoggingHook(object):
    """A finder that waits for `import logging`, so that functions which never log never pay for it."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(cls)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                break
        else:
            return None
        loader = spec.loader
        execute = loader.exec_module

        def exec_module(module):
            execute(module)
            install_logging(module)

        loader.exec_module = exec_module
        return spec


# ---------------------------------------------------------------- the context object


class CognitoIdentity(object):
    """`context.identity`; both fields are None when the caller sent no identity."""

    def __init__(self, given):
        self.cognito_identity_id = given.get("cognitoIdentityId")
        self.cognito_identity_pool_id = given.get("cognitoIdentityPoolId")


NOBODY = CognitoIdentity({})


class Client(object):
    """`context.client_context.client`, as mobile clients send it."""

    FIELDS = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")

    def __init__(self, given):
        for field in self.FIELDS:
            setattr(self, field, given.get(field))


class ClientContext(object):
    """`context.client_context`."""

    def __init__(self, given):
        client = given.get("client")
        self.client = None if client is None else Client(client)
        self.custom = given.get("custom")
        self.env = given.get("env")


def _parsed(text, name):
    try:
        value = loads(text.encode("utf-8"))
        value.get
        return value
    except Exception as error:
        raise Fault("Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (name, error))


class LambdaContext(object):
    """The second argument of a handler, with the field names of Lambda."""

    def __init__(self, function, header, began):
        get = header.get
        self.aws_request_id = get("request_id")
        self.log_group_name = function.get("log_group")
        self.log_stream_name = function.get("log_stream")
        self.function_name = function.get("function_name")
        self.memory_limit_in_mb = function["memory_text"]
        self.function_version = function.get("function_version")
        self.invoked_function_arn = get("arn") or function.get("function_arn")
        self.tenant_id = get("tenant_id")
        text = get("client_context")
        self.client_context = ClientContext(_parsed(text, "Client Context")) if text else None
        text = get("identity")
        self.identity = CognitoIdentity(_parsed(text, "Cognito Identity")) if text else NOBODY
        self._ends = began + get("remaining_ms", 0) / 1000.0

    def get_remaining_time_in_millis(self):
        """Milliseconds left, never negative; counted by the instance's own clock from the arrival of the call."""
        left = int((self._ends - monotonic()) * 1000)
        return left if left > 0 else 0

    def log(self, message):
        """Writes to the log without a prefix."""
        sys.stdout.write(str(message))

    def __repr__(self):
        fields = ("aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb",
                  "function_version", "invoked_function_arn", "client_context", "identity", "tenant_id")
        return "LambdaContext([%s])" % ",".join("%s=%s" % (f, getattr(self, f)) for f in fields)


# ---------------------------------------------------------------- start


def open_log():
    """Standard output and error as UTF-8, a line at a time: lines survive a kill, and no call waits for a full buffer."""
    import io

    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(os.devnull, "w")
        elif hasattr(stream, "reconfigure") and sys.version_info >= (3, 9):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
            continue
        else:
            stream = io.TextIOWrapper(stream.detach(), "utf-8", "backslashreplace", line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)


def take_environment(late):
    """Sets variables that came after the process was started."""
    zone = os.environ.get("TZ")
    os.environ.update(late)
    if os.environ.get("TZ") != zone:
        from time import tzset

        tzset()


def prepare(init, loaded):
    """Environment, module path, working directory and the names that -S leaves out, before any code of the user runs."""
    late = init.get("env")
    if late:  # this process was started before its function was known
        take_environment(late)
    root = init.get("task_root") or os.environ.get("LAMBDA_TASK_ROOT") or "/var/task"
    own = os.path.dirname(os.path.abspath(__file__))
    layer = "%s/lib/python%d.%d/site-packages" % ((LAYERS,) + sys.version_info[:2])
    asked = [p for p in os.environ.get("PYTHONPATH", "").split(":") if p]  # -E made the interpreter overlook it
    extra = asked + [p for p in (layer, LAYERS) if os.path.isdir(p)]
    if loaded:
        give_way(loaded, [root] + extra)
    sys.path[:] = [root] + extra + [p for p in sys.path if p and p != own and os.path.abspath(p) != own]
    sys.argv[:] = [__file__]
    try:
        os.chdir(root)
    except OSError:
        pass  # the import below says what is wrong in the words users know
    import builtins

    builtins.exit = builtins.quit = sys.exit
    if "logging" in sys.modules:
        install_logging(sys.modules["logging"])
    else:
        sys.meta_path.insert(0, LoggingHook)
    init["memory_text"] = str(init.get("memory_mb") or os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", ""))


def load(handler):
    """The function that a handler name (`module.function`, `package/module.function`) means. Raises Fault."""
    parts = handler.rsplit(".", 1)
    if len(parts) != 2:
        raise Fault(
            "Runtime.MalformedHandlerName",
            "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % handler,
        )
    module_name, name = parts
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault(
            "Runtime.BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module_name
        )
    dotted = module_name.replace("/", ".")
    try:
        __import__(dotted)
        module = sys.modules[dotted]
    except (ImportError, ValueError, KeyError) as error:
        if not isinstance(error, ImportError) and dotted.strip(".") == dotted:
            raise
        text = str(error) if isinstance(error, ImportError) else "No module named '%s'" % dotted
        raise Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, text))
    except SyntaxError as error:
        raise Fault(
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module '%s': %s" % (module_name, error),
            ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)],
        )
    try:
        return getattr(module, name)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (name, module_name))


# ---------------------------------------------------------------- a start before the function is known

def warm_up():
    """Does what the first call would be the first to do. Returns the names of the modules that came in by it."""
    before = set(sys.modules)
    for name in OFTEN:
        try:
            __import__(name)
        except ImportError:
            pass  # a Python without it; the function will hear of it when it asks
    loads(b'{"a": [1, 2.5, "\\u00e4", null, true]}')
    Encoder().encode({"a": [1, 2.5, "b", None, True]})
    compile("def handler(event, context):\n    return {'a': event}\n", "<warm>", "exec")
    return set(sys.modules) - before


def reseed():
    """Copies of one process would draw the same numbers."""
    for name in ("random", "numpy.random"):
        module = sys.modules.get(name)
        try:
            if module is not None:
                module.seed()
        except Exception:
            pass  # another module of that name


def give_way(loaded, folders):
    """A function that brings a module of the same name as one that was loaded early gets its own."""
    own = set()
    for folder in folders:
        try:
            own.update(entry.partition(".")[0] for entry in os.listdir(folder))
        except OSError:
            pass
    for name in loaded:
        if name.partition(".")[0] in own:
            sys.modules.pop(name, None)


# ---------------------------------------------------------------- invocations


class Runner(object):
    """Serves frames until the host ends the instance."""

    def __init__(self, channel, loaded):
        self.channel = channel
        self.loaded = loaded  # modules that were loaded before the function was known
        self.early = []  # frames read while a coroutine was running, still to be served
        self.cancelled = False
        self.last = None
        self.loop = None
        self.traced = False

    def start(self):
        """Waits for INIT, loads the handler, says READY."""
        while True:
            kind, _flags, stream, body = self.channel.next()
            if kind == INIT:
                break
            if kind == SHUTDOWN:
                self.shut_down()
            if kind == INVOKE:
                self.fail(stream, error_body("Runtime.NotInitialized", "the call came before the function was loaded", []))
        init = loads(body)
        prepare(init, self.loaded)
        self.function = init
        self.encoder = Encoder()
        try:
            self.handler = load(init["handler"])
        except Exception as error:
            body = describe(error)
            log_error(body)
            self.fail(0, body)
            leave(1)
        self.flush()
        self.channel.send(READY, 0, 0)

    def serve(self):
        """The loop of a live instance."""
        following = self.channel.next
        while True:
            kind, flags, stream, body = self.early.pop(0) if self.early else following()
            if kind == INVOKE:
                if stream != self.last:  # a repeated frame is not a second call
                    self.last = stream
                    self.invoke(flags, stream, body)
            elif kind == SHUTDOWN:
                self.shut_down()
            elif kind == FORK:
                self.fork()
            # CANCEL of a finished call, DATA that nobody waits for, kinds of a later protocol: nothing to do

    def fork(self):
        """Becomes a zygote: the host stops this process inside the fork and makes each new instance come out of it."""
        import gc

        folder = os.getcwd()
        self.flush()
        gc.collect()
        if hasattr(gc, "freeze"):
            gc.freeze()  # what the copies share is not written to by the collector
        if os.fork():
            leave(70)  # nobody held us there: this is no instance
        self.channel.rest = b""
        self.last = self.loop = None
        try:
            os.chdir(folder)
        except OSError:
            pass
        reseed()
        self.channel.send(HELLO, 0, 0, hello())
        while True:
            kind, _flags, _stream, body = self.channel.next()
            if kind == INIT:
                break
            if kind == SHUTDOWN:
                self.shut_down()
        init = loads(body)
        take_environment(init.get("env") or {})
        self.function["log_stream"] = init.get("log_stream")
        self.channel.send(READY, 0, 0)

    def invoke(self, flags, stream, body):
        began = monotonic()
        split = 4 + int.from_bytes(body[:4], "big")
        header = loads(body[4:split])
        request_id = Now.request_id = header.get("request_id", "")
        try:
            payload = body[split:] if flags & END else self.collect(stream, body[split:])
            trace = header.get("trace_id")
            if trace or self.traced:
                self.set_trace(trace)
            context = LambdaContext(self.function, header, began)
            try:
                event = loads(payload)
            except Exception as error:
                raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)
            result = self.handler(event, context)
            if type(result) not in PLAIN and hasattr(result, "__await__"):
                result = self.wait_for(result, stream)
            try:
                answer = self.encoder.encode(result)
            except Exception as error:
                raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error)
        except Exception as error:
            failure = describe(error, request_id)
        else:
            self.flush()
            self.channel.answer(stream, answer)
            return
        log_error(failure)
        self.fail(stream, failure)

    def collect(self, stream, first):
        """The rest of a payload that did not fit into its INVOKE frame."""
        parts = [first]
        while True:
            kind, flags, which, body = self.channel.next()
            if kind == DATA and which == stream:
                parts.append(body)
                if flags & END:
                    return b"".join(parts)
            elif kind == CANCEL and which == stream:
                raise Fault("Runtime.Cancelled", "the caller left before the whole event had arrived")
            elif kind == SHUTDOWN:
                self.shut_down()

    def wait_for(self, awaitable, stream):
        """Runs a coroutine on the one event loop of the process, watching for CANCEL meanwhile."""
        import asyncio

        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        loop = self.loop

        async def awaited():
            return await awaitable

        task = loop.create_task(awaited())
        self.cancelled = False

        def on_frame():
            while True:
                frame = self.channel.next()
                if frame[0] == CANCEL and frame[2] == stream:
                    self.cancelled = True
                    task.cancel()
                elif frame[0] == SHUTDOWN:
                    self.early.insert(0, frame)
                    self.cancelled = True
                    task.cancel()
                else:
                    self.early.append(frame)
                if not self.channel.waiting():
                    return

        if self.channel.waiting():
            on_frame()
        loop.add_reader(SOCKET, on_frame)
        try:
            return loop.run_until_complete(task)
        except asyncio.CancelledError as error:  # not an Exception since 3.8: it must not end the process
            if self.cancelled:
                raise Fault("Runtime.Cancelled", "the call was cancelled")
            raise Fault(type(error).__name__, str(error))
        finally:
            loop.remove_reader(SOCKET)

    def set_trace(self, trace):
        """Shows it in os.environ alone: glibc keeps every value that a variable ever had, which is 140 bytes of each call."""
        self.traced = bool(trace)
        shown = os.environ
        name = shown.encodekey("_X_AMZN_TRACE_ID")
        if trace:
            shown._data[name] = shown.encodevalue(trace)
        else:
            shown._data.pop(name, None)

    def fail(self, stream, body):
        self.flush()
        self.channel.send(ERROR, END, stream, Encoder().encode(body))

    def flush(self):
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except Exception:
            pass  # the function closed or replaced its output; the answer still counts

    def shut_down(self):
        """What SIGTERM and the end of the interpreter would run, then exit 0, without waiting for threads."""
        signal = sys.modules.get("signal")
        try:
            if signal is not None:
                handler = signal.getsignal(signal.SIGTERM)
                if callable(handler):
                    handler(int(signal.SIGTERM), None)
            import atexit

            atexit._run_exitfuncs()
        except SystemExit as error:
            leave(error.code if isinstance(error.code, int) else 0 if error.code is None else 1)
        except Exception as error:
            log_error(describe(error))
        leave(0)


def hello():
    version = ".".join(str(n) for n in sys.version_info[:3])
    return ('{"protocol":1,"runtime":"python%s"}' % version).encode("ascii")


def main():
    open_log()
    channel = Channel()
    loaded = warm_up() if os.environ.pop("FLINT_START", "") == "generic" else None
    channel.send(HELLO, 0, 0, hello())
    runner = Runner(channel, loaded)
    runner.start()
    runner.serve()


if __name__ == "__main__":
    main()
