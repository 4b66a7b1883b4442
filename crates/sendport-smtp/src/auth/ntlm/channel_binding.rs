//! The TLS channel in NTLM: MD5 of `gss_channel_bindings_struct` (MS-NLMP section 2.2.2.1,
//! RFC 2744 section 3.11).

use md5::{Digest, Md5};

/// What MsvAvChannelBindings holds; all zero without TLS.
pub(super) fn hashed(tls_server_end_point: Option<&[u8]>) -> [u8; 16] {
    let Some(end_point) = tls_server_end_point else {
        return [0; 16];
    };
    let prefix = b"tls-server-end-point:";
    let length = u32::try_from(prefix.len() + end_point.len()).unwrap_or(u32::MAX);
    Md5::new()
        // Types and lengths of the two addresses, which are left out.
        .chain_update([0; 16])
        .chain_update(length.to_le_bytes())
        .chain_update(prefix)
        .chain_update(end_point)
        .finalize()
        .into()
}
