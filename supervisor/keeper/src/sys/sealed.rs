//! Sealed memory files: what is too long for one message, handed over so that it cannot change any more.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// `MFD_NOEXEC_SEAL`, Linux 6.3: without it newer kernels log a warning.
const NOEXEC_SEAL: libc::c_uint = 0x8;

/// Puts bytes into a memory file and seals it.
pub(crate) fn seal(name: &CStr, bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd = match memfd_create(name, flags | MFdFlags::from_bits_retain(NOEXEC_SEAL)) {
        Err(Errno::EINVAL) => memfd_create(name, flags)?,
        other => other?,
    };
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    fcntl(file.as_fd(), FcntlArg::F_ADD_SEALS(seals() | SealFlag::F_SEAL_SEAL))?;
    Ok(file.into())
}

/// Reads a whole sealed file; one that is not sealed, or longer than `limit`, is `InvalidData`.
pub(crate) fn unseal(fd: OwnedFd, limit: u64) -> io::Result<Vec<u8>> {
    let found = SealFlag::from_bits_retain(fcntl(fd.as_fd(), FcntlArg::F_GET_SEALS)?);
    let file = File::from(fd);
    let len = file.metadata()?.len();
    if !found.contains(seals()) || len > limit {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn seals() -> SealFlag {
    SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_comes_back_and_cannot_be_changed() {
        let fd = seal(c"test", b"hello").expect("seal");
        let twin = File::from(fd.try_clone().expect("dup"));
        assert!(twin.write_at(b"x", 0).is_err());
        assert_eq!(unseal(fd, 5).expect("unseal"), b"hello");
    }

    #[test]
    fn unsealed_and_overlong_files_are_refused() {
        let open = memfd_create(c"test", MFdFlags::MFD_ALLOW_SEALING).expect("memfd");
        assert_eq!(unseal(open, 5).expect_err("not sealed").kind(), io::ErrorKind::InvalidData);
        let long = seal(c"test", b"hello").expect("seal");
        assert_eq!(unseal(long, 4).expect_err("too long").kind(), io::ErrorKind::InvalidData);
    }
}
