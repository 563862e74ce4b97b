//! Messages with descriptors over a `SEQPACKET` socket.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

/// The kernel's own limit of descriptors in one message (`SCM_MAX_FD`).
pub(crate) const MAX_FDS: usize = 253;

/// Room for the control data of `MAX_FDS` descriptors, aligned as a `cmsghdr` must be.
#[repr(C, align(8))]
struct Control([u8; Control::SIZE]);

impl Control {
    // SAFETY: CMSG_SPACE is arithmetic on its argument.
    const SIZE: usize = unsafe { libc::CMSG_SPACE((MAX_FDS * size_of::<RawFd>()) as u32) } as usize;
}

/// Sends one message without waiting. `EAGAIN` when the socket is full, `ETOOMANYREFS` when too many descriptors of
/// this user are under way.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8], fds: &[RawFd]) -> nix::Result<()> {
    if fds.len() > MAX_FDS {
        return Err(Errno::EINVAL);
    }
    let mut iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = Control([0; Control::SIZE]);
    // SAFETY: all zero is a valid msghdr (null pointers, zero lengths).
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut iov;
    header.msg_iovlen = 1;
    if !fds.is_empty() {
        let payload = size_of_val(fds) as u32;
        header.msg_control = (&raw mut control).cast();
        // SAFETY: the control buffer is aligned and holds MAX_FDS descriptors, which `fds` does not exceed; so
        // CMSG_FIRSTHDR is not null and CMSG_DATA has room for the payload.
        unsafe {
            header.msg_controllen = libc::CMSG_SPACE(payload) as _;
            let first = libc::CMSG_FIRSTHDR(&raw const header);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN(payload) as _;
            std::ptr::copy_nonoverlapping(fds.as_ptr(), libc::CMSG_DATA(first).cast(), fds.len());
        }
    }
    loop {
        // SAFETY: the header points to live buffers of the lengths given.
        let sent = unsafe {
            libc::sendmsg(
                socket.as_fd().as_raw_fd(),
                &raw const header,
                libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
            )
        };
        match Errno::result(sent) {
            Ok(n) if n as usize == bytes.len() => return Ok(()),
            // A message is sent whole or not at all.
            Ok(_) => return Err(Errno::EMSGSIZE),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
}

/// One received message.
#[derive(Debug)]
pub(crate) struct Received {
    /// Zero at the end of the stream.
    pub(crate) len: usize,
    pub(crate) fds: Vec<OwnedFd>,
    /// Not all descriptors arrived: this process is out of them.
    pub(crate) fds_lost: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    Remove,
    /// Leave it in the socket. Descriptors arrive, as copies, all the same.
    Peek,
}

/// Receives one message without waiting; descriptors are close-on-exec. `EMSGSIZE` if it is longer than the buffer:
/// what did not fit is lost.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8], take: Take) -> nix::Result<Received> {
    let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([0; Control::SIZE]);
    // SAFETY: all zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut iov;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = Control::SIZE as _;
    let mut flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    if take == Take::Peek {
        flags |= libc::MSG_PEEK;
    }
    let len = loop {
        // SAFETY: the header points to live, writable buffers of the lengths given.
        let received = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, flags) };
        match Errno::result(received) {
            Ok(n) => break n as usize,
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    };
    let mut fds = Vec::new();
    // SAFETY: the kernel has filled the control buffer with well-formed headers up to msg_controllen, and each number
    // under SCM_RIGHTS is a descriptor that is ours and known to nobody else.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(&raw const header);
        while !at.is_null() {
            if (*at).cmsg_level == libc::SOL_SOCKET && (*at).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*at).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data: *const RawFd = libc::CMSG_DATA(at).cast();
                for i in 0..bytes / size_of::<RawFd>() {
                    fds.push(OwnedFd::from_raw_fd(data.add(i).read_unaligned()));
                }
            }
            at = libc::CMSG_NXTHDR(&raw const header, at);
        }
    }
    if header.msg_flags & libc::MSG_TRUNC != 0 {
        return Err(Errno::EMSGSIZE);
    }
    Ok(Received { len, fds, fds_lost: header.msg_flags & libc::MSG_CTRUNC != 0 })
}

/// A connected pair, both ends non-blocking and close-on-exec.
pub(crate) fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: `ends` has room for the two descriptors, which are ours once the call has succeeded.
    unsafe {
        Errno::result(libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()))?;
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// Whether a descriptor is a `SEQPACKET` socket.
pub(crate) fn is_seqpacket(fd: impl AsFd) -> bool {
    let mut kind: libc::c_int = 0;
    let mut len = size_of_val(&kind) as libc::socklen_t;
    // SAFETY: `kind` and `len` are live and of the sizes that SO_TYPE asks for.
    let r = unsafe {
        libc::getsockopt(
            fd.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            (&raw mut kind).cast(),
            &raw mut len,
        )
    };
    r == 0 && kind == libc::SOCK_SEQPACKET
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_and_its_descriptors_arrive_together() {
        let (a, b) = pair().expect("pair");
        send(&a, b"hello", &[a.as_raw_fd(), b.as_raw_fd()]).expect("send");
        let mut buffer = [0; 16];
        let peeked = receive(&b, &mut buffer, Take::Peek).expect("peek");
        assert_eq!((peeked.len, peeked.fds.len()), (5, 2));
        let got = receive(&b, &mut buffer, Take::Remove).expect("receive");
        assert_eq!((&buffer[..got.len], got.fds.len()), (&b"hello"[..], 2));
        assert!(!got.fds_lost);
        assert_eq!(receive(&b, &mut buffer, Take::Remove).expect_err("empty"), Errno::EAGAIN);
    }

    #[test]
    fn a_message_longer_than_the_buffer_says_so() {
        let (a, b) = pair().expect("pair");
        send(&a, b"hello", &[]).expect("send");
        let cut = receive(&b, &mut [0; 3], Take::Remove);
        assert_eq!(cut.expect_err("cut"), Errno::EMSGSIZE);
    }

    #[test]
    fn the_end_of_the_stream_is_a_length_of_zero() {
        let (a, b) = pair().expect("pair");
        drop(a);
        assert_eq!(receive(&b, &mut [0; 3], Take::Remove).expect("receive").len, 0);
        assert_eq!(send(&b, b"x", &[]).expect_err("closed"), Errno::EPIPE);
    }

    #[test]
    fn only_a_packet_socket_passes_for_one() {
        let (a, _b) = pair().expect("pair");
        assert!(is_seqpacket(&a));
        assert!(!is_seqpacket(std::fs::File::open("/dev/null").expect("open")));
    }
}
