//! A client's connection below any protocol. The data plane is compiled once for all of these; what makes them differ is
//! chosen here, at each read and write.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// What bytes go both ways on.
#[cfg(feature = "tls")]
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + std::fmt::Debug {}

#[cfg(feature = "tls")]
impl<S: AsyncRead + AsyncWrite + Unpin + std::fmt::Debug> Duplex for S {}

/// One connection.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Plain TCP: the straight path.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over TCP, after its handshake. Behind a pointer, so that who serves none need not have any linked.
    #[cfg(feature = "tls")]
    Inside(Box<dyn Duplex>),
}

// === impl Stream ===

impl Stream {
    /// Writes some of these. What was written may still have to be flushed.
    pub(super) fn poll_write_some(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            // Tried before it is asked for readiness: a socket that takes an answer at once is the rule.
            Self::Tcp(tcp) => loop {
                match tcp.try_write_vectored(slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(tcp.poll_write_ready(cx))?,
                    written => return Poll::Ready(written),
                }
            },
            Self::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, slices),
            #[cfg(feature = "tls")]
            Self::Inside(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    /// Says goodbye where the protocol has one, as far as that goes without waiting: TLS tells an end from a cut.
    pub(super) fn part(&mut self) {
        #[cfg(feature = "tls")]
        if let Self::Inside(tls) = self {
            // Whether the client hears it makes no difference: the connection is dropped.
            let _said = Pin::new(tls).poll_shutdown(&mut Context::from_waker(std::task::Waker::noop()));
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Unix(unix) => Pin::new(unix).poll_read(cx, buffer),
            #[cfg(feature = "tls")]
            Self::Inside(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_some(cx, &[IoSlice::new(buffer)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_some(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Unix(unix) => Pin::new(unix).poll_flush(cx),
            #[cfg(feature = "tls")]
            Self::Inside(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Self::Inside(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
