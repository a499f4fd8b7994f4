"""``runtime serve``: the page, and the camera's loop beside it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TextIO, cast

from runtime.errors import SourceError, one_line
from runtime.file_kind import shown
from runtime.options import ClassifyOptions
from runtime.outputs import actions_for, closing, log_beside
from runtime.page.access import Access, own_names
from runtime.page.address import Address, listen, page_url, resolve
from runtime.page.connections import PageServer
from runtime.page.handler import PageHandler
from runtime.page.live import Live
from runtime.page.options import PageOptions
from runtime.page.site import Site
from runtime.page.token import kept_token, new_token
from runtime.page.uploads import Uploads
from runtime.reload import ModelReloader, open_reloader
from runtime.service.notify import Notifier
from runtime.sources.kinds import camera_kind, is_live
from runtime.sources.open import CameraOptions
from runtime.watch import act

# Connections beside those of the viewers: the page itself, posted pictures, programs.
_MORE_CONNECTIONS = 16
# How soon the server sees that it is to stop, seconds.
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class ServeOptions:
    """Everything that ``runtime serve`` can be told; see its ``--help``.

    Attributes:
        classify: camera, model, rules and outputs; without a camera only posted pictures are classified.
        page: the page itself.
    """

    classify: ClassifyOptions = field(default_factory=ClassifyOptions)
    page: PageOptions = field(default_factory=PageOptions)


def serve(options: ServeOptions, out: TextIO, log: TextIO) -> int:
    """Show the page until Ctrl-C or SIGTERM.

    Args:
        options: what and how.
        out: answers of the camera.
        log: the page's address and token, which model is used, what happens to the camera.

    Returns:
        Exit code 0.

    Raises:
        UsageError: an address or a token that cannot be.
        DataError: the port is taken, say.
        SourceError: the camera cannot be opened at first.
        ModelError: the model cannot be loaded, or fails.
        MissingPackageError: a package is needed.
    """
    page = options.page
    address = resolve(page.host, page.port)
    token, how = _token(page, address)
    listener = listen(address, page.host)
    notifier = _PageNotifier()
    try:
        reloader = open_reloader(options.classify, log)
        camera = options.classify.camera
        live = Live() if camera is not None else None
        names = own_names(page.host, page.allow_hosts, socket.gethostname())
        access = Access(names, token, f"runtime_token_{listener.getsockname()[1]}")
        uploads = Uploads.of(reloader.slot, options.classify.rules, page.max_upload_pixels)
        site = Site(page, access, uploads, live, camera.camera if camera else None, partial(_say, log))
        with _serving(listener, site), reloader.watching():
            _say_where(log, page_url(listener, address.loopback), how, address)
            if camera is not None and live is not None:
                _watch(options.classify, camera, reloader, live, notifier, out, log)
            notifier.ready("pictures can be posted")
            while True:  # until a signal
                notifier.beat()
                time.sleep(1)
    except KeyboardInterrupt:
        return 0  # the usual way to end it
    finally:
        notifier.ending()
        listener.close()


class _PageNotifier(Notifier):
    """Tells systemd that the page lives; the end of its camera's loop is not its end."""

    def stopping(self) -> None:
        """Said by the camera's loop; the page goes on."""

    def ending(self) -> None:
        """The page ends too."""
        super().stopping()


def _token(page: PageOptions, address: Address) -> tuple[str | None, str]:
    """The token, and what stands behind the page's address for the user."""
    if page.token_file is not None:
        token, new = kept_token(page.token_file)
        return token, f"{'a new token is' if new else 'the token is'} in {shown(page.token_file)}"
    if address.loopback:
        return None, "this machine alone"
    token = new_token()
    return token, f"?token={token}"


@contextmanager
def _serving(listener: socket.socket, site: Site) -> Iterator[None]:
    """The page answers in the block."""
    most = 2 * site.viewers + _MORE_CONNECTIONS
    server = PageServer(listener, partial(PageHandler, site), most)
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="page", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _watch(
    options: ClassifyOptions,
    camera: CameraOptions,
    reloader: ModelReloader,
    live: Live,
    notifier: Notifier,
    out: TextIO,
    log: TextIO,
) -> None:
    """Run the camera's loop until its source ends."""
    # A file is played as a camera would give it.
    options = replace(options, camera=replace(camera, realtime=True))
    try:
        with closing([live, *actions_for(options, out, log)]) as actions:
            copied = cast(TextIO, _CopiedLog(log_beside(actions, log), live))
            act(options, actions, reloader, copied, notifier)
    except SourceError as error:
        if live.empty or is_live(camera_kind(camera.camera)):
            raise  # a camera that cannot be had any more is for the service manager to begin anew
        _say(log, one_line(error))
        live.note(one_line(error))
    reloader.log = partial(_say, log)
    _say(log, "page: the source has ended; its last picture stays, and pictures can be posted")


class _CopiedLog:
    """A log whose lines are shown on the page too.

    Args:
        log: where they go besides.
        live: shows the last one.
    """

    def __init__(self, log: TextIO, live: Live) -> None:
        self._log, self._live = log, live

    def write(self, text: str) -> int:
        """Write, and show what is more than the end of a line."""
        if text.strip():
            self._live.note(text.strip())
        return self._log.write(text)

    def flush(self) -> None:
        """See that it is read."""
        self._log.flush()


def _say_where(log: TextIO, url: str, how: str, address: Address) -> None:
    lines = [f"page: {url} ({how})"]
    if how.startswith("?"):
        lines = [f"page: {url}{how}", "page: the token behind '=' is shown only now; who has it sees the camera"]
    if not address.loopback:
        lines.append(
            "page: warning: plain HTTP; who can listen on this network can read pictures and token. For more than a "
            "network you trust, put a proxy with TLS before it, or use ssh -L"
        )
    _say(log, "\n".join(lines))


def _say(log: TextIO, line: str) -> None:
    print(line, file=log, flush=True)
