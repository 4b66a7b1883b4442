//! Makes the system's allocator return large blocks to the system at once.
//!
//! glibc maps large blocks one by one and unmaps each when it is freed. But the first such block raises
//! the threshold (mallopt(3), `M_MMAP_THRESHOLD`) up to 32 MiB, and smaller blocks stay in the arena of
//! the thread that freed them. A service whose threads take turns with large messages would keep several
//! of each.

/// Most free memory at the end of a thread's arena: 1 MiB. By default glibc returns it from 128 KiB on
/// and requests it again a moment later, page by page; a service with hundreds of small messages a
/// second would do so for each of them.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 1024 * 1024;

/// Returns blocks of at least this size, in bytes, to the system when they are freed; each thread keeps
/// up to 1 MiB of smaller ones. Call it once, at the start. Does nothing where the allocator is not
/// glibc's.
pub fn give_back_from(bytes: u32) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(
        unsafe_code,
        reason = "there is no safe way to ask this of the allocator"
    )]
    if let Ok(bytes) = libc::c_int::try_from(bytes) {
        // SAFETY: mallopt takes two numbers and may be called at any time (mallopt(3)); a value
        // that it does not take changes nothing.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, bytes);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = bytes;
}
