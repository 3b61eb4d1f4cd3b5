"""A real S3 server on loopback (moto's) that counts requests and refuses those that a test wants refused."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

#: What every request of the AWS client carries in the tests.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "tests",
    "AWS_SECRET_ACCESS_KEY": "tests",
    # Asked for where no credentials are found, and away where the tests run.
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class S3Server:
    """A server that runs.

    Attributes:
        address: host:port.
        requests: those so far, as `PUT /bucket/key?query`.
        refuse: the code of the error that a request is answered with, or None to answer it.
    """

    address: str
    requests: list[str] = field(default_factory=list)
    refuse: Callable[[str, dict[str, Any]], str | None] = lambda request, environment: None

    def uri(self, bucket: str, prefix: str = "some/prefix") -> str:
        """The URI of a prefix."""
        return f"s3://{bucket}/{prefix}?endpoint_override={self.address}&scheme=http&region=us-east-1"

    def new_bucket(self) -> str:
        """Make a bucket of a name of its own."""
        import pyarrow.fs as pafs

        bucket = f"bucket-{uuid.uuid4().hex[:12]}"
        pafs.S3FileSystem(
            endpoint_override=self.address, scheme="http", region="us-east-1", allow_bucket_creation=True
        ).create_dir(bucket)
        return bucket

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        """The requests of the block."""
        start = len(self.requests)
        found: list[str] = []
        yield found
        found += self.requests[start:]


#: Answers of an S3 server, by the code of the error.
STATUS = {"SlowDown": "503 Slow Down", "PermanentRedirect": "301 Moved", "AuthorizationHeaderMalformed": "400 Bad"}


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start a server on a free port of loopback, and end it."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    backend = DomainDispatcherApplication(create_backend_app)

    def application(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        request = (
            f"{environment['REQUEST_METHOD']} {environment['PATH_INFO']}?{environment.get('QUERY_STRING', '')}"
        ).rstrip("?")
        served.requests.append(request)
        code = served.refuse(request, environment)
        if code is None:
            answer: Iterable[bytes] = backend(environment, start)
            return answer
        environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
        start(STATUS.get(code, "403 Forbidden"), [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><Message>A long text. With two sentences.</Message></Error>".encode()]

    server = make_server("127.0.0.1", 0, application, threaded=True)
    served = S3Server(f"127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
