//! Has the system's allocator give large blocks back to the system at once.
//!
//! glibc takes large blocks from the system one by one, and gives each back when it is freed. But
//! with the first that is freed it raises the size from which it does so (mallopt(3),
//! `M_MMAP_THRESHOLD`), up to 32 MiB, and what is smaller stays with the thread that freed it. A
//! service whose threads take turns with large messages would keep several of each.

/// What a thread has freed and not given back, at most: 1 MiB. glibc gives back what lies free at
/// the end of a thread's memory from 128 KiB on, and takes it again a moment later, page by page;
/// a service that handles hundreds of small messages a second would do so for each of them.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 1024 * 1024;

/// From this size on, in octets, a block is given back when it is freed; of smaller ones a thread
/// keeps up to a mebibyte. Call it once, at the start. Does nothing where the allocator is not
/// glibc's.
pub fn give_back_from(octets: u32) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(
        unsafe_code,
        reason = "there is no safe way to ask this of the allocator"
    )]
    if let Ok(octets) = libc::c_int::try_from(octets) {
        // SAFETY: mallopt takes two numbers and may be called at any time (mallopt(3)); a value
        // that it does not take changes nothing.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, octets);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = octets;
}
