// Looks at each connection when it is made: a client never has two at once. Nothing is changed on its way.

window.made = { all: [], most: 0 };

{
  const open = new Set();
  const isOpen = ({ socket, signal }) => (socket ? socket.readyState < WebSocket.CLOSING : !signal?.aborted);

  function enter(entry) {
    for (const each of open) if (!isOpen(each)) open.delete(each);
    open.add(entry);
    made.all.push(entry.url);
    made.most = Math.max(made.most, open.size);
    return entry;
  }

  const PlainWebSocket = WebSocket;
  window.WebSocket = class extends PlainWebSocket {
    constructor(url, ...rest) {
      super(url, ...rest);
      enter({ url: String(url), socket: this });
    }
  };

  const plainFetch = window.fetch;
  const isFollowing = (url) => /\/(events|page)(\?|$)/.test(url);
  window.fetch = async (url, init) => {
    if (!isFollowing(url)) return plainFetch(url, init);
    const entry = enter({ url: String(url), signal: init?.signal });
    try {
      const response = await plainFetch(url, init);
      // A stream is open until its reader has seen the end, or nobody wants it any more.
      if (!/\/events/.test(url) || !response.ok) open.delete(entry);
      return response;
    } catch (error) {
      open.delete(entry);
      throw error;
    }
  };
}
