//! Which header field names a recipient.

use std::collections::HashSet;

use sendport_core::domain::{Address, EnvelopeRecipient, RecipientKind};

use super::header::HeaderSection;

/// Sets the kind of each recipient: To takes precedence over Cc.
pub(crate) fn set_kinds(recipients: &mut [EnvelopeRecipient], header: &HeaderSection) {
    let comparable = |addresses: &[Address]| -> HashSet<String> {
        addresses.iter().map(Address::comparable).collect()
    };
    let (to, cc) = (comparable(&header.to), comparable(&header.cc));
    for recipient in recipients {
        let address = recipient.address.comparable();
        recipient.kind = match () {
            () if to.contains(&address) => RecipientKind::To,
            () if cc.contains(&address) => RecipientKind::Cc,
            () => RecipientKind::Bcc,
        };
    }
}
