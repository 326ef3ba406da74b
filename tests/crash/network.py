"""A network that goes wrong on demand: a proxy between a client and a server, and a namespace whose only link can be cut."""
import asyncio
import os
import subprocess
import threading


class Pair:
    """One connection through a proxy. Half-open for good once something of it was lost."""

    def __init__(self, *writers):
        self.writers, self.lost = writers, False

    def abort(self):
        for writer in self.writers:
            writer.transport.abort()


class Network:
    """The thread in which all proxies run. close() ends it and them."""

    def __init__(self):
        self.proxies = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def proxy(self, server_port, address="127.0.0.1"):
        self.proxies.append(self.run(Proxy.listen(self, server_port, address)))
        return self.proxies[-1]

    def close(self):
        self.run(self.end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def end(self):
        for proxy in self.proxies:
            proxy.server.close()
            proxy.flows.set()
            await proxy.abort_all()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))


class Proxy:
    """Between clients and a server of this machine. Its methods may be called from any thread."""

    def __init__(self, network, server_port):
        self.network, self.server_port = network, server_port
        self.pairs = set()
        self.loses = self.loses_answers = False

    @classmethod
    async def listen(cls, network, server_port, address):
        proxy = cls(network, server_port)
        proxy.flows = asyncio.Event()
        proxy.flows.set()
        proxy.server = await asyncio.start_server(proxy.serve, address, 0)
        proxy.port = proxy.server.sockets[0].getsockname()[1]
        return proxy

    def cut(self):
        """Every connection ends, in both directions."""
        self.network.run(self.abort_all())

    def hold(self, holds):
        """What is sent arrives when it is let go."""
        self.network.loop.call_soon_threadsafe(self.flows.clear if holds else self.flows.set)

    def lose(self, loses, answers_alone=False):
        """Half-open: connections stay, and what is sent is lost; of the connections that it has met, all that comes later too."""
        self.loses, self.loses_answers = loses and not answers_alone, loses and answers_alone

    def has_lost(self):
        """Something of a connection that is there was lost."""
        return any(pair.lost for pair in list(self.pairs))

    async def abort_all(self):
        for pair in list(self.pairs):
            pair.abort()

    async def serve(self, reader, writer):
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:
            return writer.transport.abort()
        pair = Pair(writer, server_writer)
        self.pairs.add(pair)
        try:
            await asyncio.gather(self.pump(pair, reader, server_writer, answers=False),
                                 self.pump(pair, server_reader, writer, answers=True))
        finally:
            self.pairs.discard(pair)
            pair.abort()

    async def pump(self, pair, reader, writer, answers):
        try:
            while data := await reader.read(1 << 16):
                await self.flows.wait()
                pair.lost = pair.lost or self.loses or (self.loses_answers and answers)
                if not pair.lost:
                    writer.write(data)
                    await writer.drain()
        except ConnectionError:
            pair.abort()
        if not pair.lost:  # else the other side never hears of it
            writer.close()


class Namespace:
    """A network namespace with one link, to `address` of this machine; gone with us. Raises PermissionError where none can be made."""

    def __init__(self):
        self.link = f"sp{os.getpid()}"
        net = f"169.254.{os.getpid() % 250 + 1}"
        self.address = f"{net}.1"
        self.holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            self.await_namespace()
            self.run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "inside", "netns", str(self.holder.pid))
            self.run("ip", "address", "add", f"{net}.1/30", "dev", self.link)
            self.run("ip", "link", "set", self.link, "up")
            self.run(*self.command(), "ip", "address", "add", f"{net}.2/30", "dev", "inside")
            for link in ("inside", "lo"):
                self.run(*self.command(), "ip", "link", "set", link, "up")
        except (subprocess.CalledProcessError, OSError) as error:
            self.close()
            raise PermissionError(f"no network namespace can be made here: {getattr(error, 'stderr', None) or error}") from error

    def await_namespace(self):
        """cat runs inside, and answers."""
        self.holder.stdin.write(b"?\n")
        self.holder.stdin.flush()
        if not self.holder.stdout.readline():
            raise OSError(self.holder.stderr.read().decode())

    def run(self, *words):
        subprocess.run(words, check=True, capture_output=True, text=True)

    def command(self):
        """The words that begin a command which runs inside."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]

    def cut(self, cuts):
        self.run("ip", "link", "set", self.link, "down" if cuts else "up")

    def close(self):
        self.holder.communicate()
