//! Passwords of users, as hashes.
//!
//! scrypt (RFC 7914) comes with OpenSSL. One hash takes 32 MiB and about a quarter of a second, so it runs on the
//! threads for blocking work, two at a time, and an unknown user costs as much as a known one. A password that was right
//! before is recognized at once, for programs that connect anew for each message.

use std::collections::BTreeMap;
use std::time::Duration;

use base64_simd::STANDARD_NO_PAD;
use openssl::error::ErrorStack;
use openssl::memcmp;
use openssl::pkcs5::scrypt;
use openssl::rand::rand_bytes;
use openssl::sha::Sha256;
use parking_lot::Mutex;
use secrecy::zeroize::Zeroizing;
use tokio::sync::Semaphore;

use crate::settings::UserRule;

/// Hashes that are computed at the same time.
const PARALLEL: usize = 2;

/// Longest wait for one of them to begin.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// Most memory of one hash: `128 * r * N` bytes.
const MOST_MEMORY: u64 = 64 << 20;

/// Most passes over it.
const MOST_PASSES: u64 = 16;

/// A password as `$scrypt$ln=15,r=8,p=3$salt$hash` (the PHC string format): `ln` is the logarithm of N, salt and hash
/// are in base64 without padding. Python's passlib writes it likewise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordHash {
    log_n: u32,
    r: u64,
    p: u64,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// The text is no hash that can be used. It is not in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordHashError {
    /// Another form.
    #[error(
        "expected a hash such as \"$scrypt$ln=15,r=8,p=3$salt$hash\", salt and hash in base64 without '='"
    )]
    Malformed,
    /// Too much or too little work.
    #[error(
        "expected ln of 10 or more, 128 * r * 2^ln of at most 64 MiB, p of at most 16, a salt of 8 to 64 and a hash \
         of 16 to 64 bytes"
    )]
    Parameters,
}

impl PasswordHash {
    /// A hash of the password with a random salt, for the configuration.
    ///
    /// # Errors
    /// OpenSSL has no random numbers, or no memory.
    pub fn new(password: &str) -> Result<Self, ErrorStack> {
        let mut hash = Self {
            log_n: 15,
            r: 8,
            p: 3,
            salt: vec![0; 16],
            hash: vec![0; 32],
        };
        rand_bytes(&mut hash.salt)?;
        hash.hash = hash.derive(password)?.to_vec();
        Ok(hash)
    }

    /// One that takes a test no time.
    #[cfg(test)]
    pub(crate) fn cheap(password: &str) -> Self {
        let mut hash = Self {
            log_n: 10,
            r: 8,
            p: 1,
            salt: vec![1; 8],
            hash: vec![0; 32],
        };
        hash.hash = hash.derive(password).unwrap().to_vec();
        hash
    }

    /// Parses the text.
    ///
    /// # Errors
    /// [`PasswordHashError`].
    pub fn parse(text: &str) -> Result<Self, PasswordHashError> {
        let hash = Self::parts(text.trim()).ok_or(PasswordHashError::Malformed)?;
        let memory = 1u64
            .checked_shl(hash.log_n)
            .and_then(|n| n.checked_mul(128 * hash.r));
        let is_usable = (10..=20).contains(&hash.log_n)
            && memory.is_some_and(|memory| memory <= MOST_MEMORY)
            && (1..=MOST_PASSES).contains(&hash.p)
            && hash.r > 0
            && (8..=64).contains(&hash.salt.len())
            && (16..=64).contains(&hash.hash.len());
        is_usable
            .then_some(hash)
            .ok_or(PasswordHashError::Parameters)
    }

    fn parts(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("$scrypt$")?;
        let [parameters, salt, hash] = exactly(rest.split('$'))?;
        let [log_n, r, p] = exactly(parameters.split(','))?;
        let decode = |text: &str| STANDARD_NO_PAD.decode_to_vec(text).ok();
        let r: u32 = r.strip_prefix("r=")?.parse().ok()?;
        let p: u32 = p.strip_prefix("p=")?.parse().ok()?;
        Some(Self {
            log_n: log_n.strip_prefix("ln=")?.parse().ok()?,
            r: r.into(),
            p: p.into(),
            salt: decode(salt)?,
            hash: decode(hash)?,
        })
    }

    /// Whether it is of this password. Takes long.
    pub fn matches(&self, password: &str) -> bool {
        match self.derive(password) {
            Ok(derived) => memcmp::eq(&derived, &self.hash),
            Err(error) => {
                tracing::warn!(%error, "password check failed");
                false
            }
        }
    }

    fn derive(&self, password: &str) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
        let mut derived = Zeroizing::new(vec![0; self.hash.len()]);
        let n = 1 << self.log_n;
        // OpenSSL counts a little more than 128 * r * (N + p).
        let most = 2 * MOST_MEMORY;
        scrypt(
            password.as_bytes(),
            &self.salt,
            n,
            self.r,
            self.p,
            most,
            &mut derived,
        )?;
        Ok(derived)
    }
}

/// As [`PasswordHash::parse`] reads it.
impl std::fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            log_n,
            r,
            p,
            salt,
            hash,
        } = self;
        let [salt, hash] = [salt, hash].map(|bytes| STANDARD_NO_PAD.encode_to_string(bytes));
        write!(f, "$scrypt$ln={log_n},r={r},p={p}${salt}${hash}")
    }
}

fn exactly<'a, const N: usize>(mut parts: impl Iterator<Item = &'a str>) -> Option<[&'a str; N]> {
    let mut found = [""; N];
    for slot in &mut found {
        *slot = parts.next()?;
    }
    parts.next().is_none().then_some(found)
}

/// No password could be checked in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub(crate) struct Busy;

/// Why users cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The hash of a password.
    #[error("password_hash: {0}")]
    Hash(#[from] PasswordHashError),
    /// OpenSSL has no random numbers.
    #[error("OpenSSL has no random numbers: {0}")]
    Random(#[from] ErrorStack),
}

/// The users with a password.
pub(crate) struct Passwords {
    /// By name in lower case: the name as configured, and the hash.
    users: BTreeMap<String, (String, PasswordHash)>,
    /// For an unknown user.
    decoy: PasswordHash,
    checks: Semaphore,
    /// Passwords that were right, by user in lower case, as digests with `key`.
    known: Mutex<BTreeMap<String, [u8; 32]>>,
    /// Random, of this process.
    key: Zeroizing<[u8; 32]>,
}

impl Passwords {
    pub(crate) fn new(rules: &BTreeMap<String, UserRule>) -> Result<Self, UsersError> {
        let mut users = BTreeMap::new();
        for (name, rule) in rules {
            if let Some(hash) = &rule.password_hash {
                let hash = PasswordHash::parse(hash.expose())?;
                users.insert(name.to_lowercase(), (name.clone(), hash));
            }
        }
        let mut key = Zeroizing::new([0; 32]);
        rand_bytes(&mut *key)?;
        let decoy = users.values().next().map(|(_, hash)| hash.clone());
        Ok(Self {
            decoy: decoy.unwrap_or(PasswordHash {
                log_n: 15,
                r: 8,
                p: 3,
                salt: vec![0; 16],
                hash: vec![0; 32],
            }),
            users,
            checks: Semaphore::new(PARALLEL),
            known: Mutex::default(),
            key,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The configured name of the user if the password was right before.
    pub(crate) fn recognize(&self, user: &str, password: &str) -> Option<String> {
        let user = user.to_lowercase();
        let digest = self.digest(&user, password);
        let before = self.known.lock().get(&user).copied()?;
        let (name, _) = self.users.get(&user)?;
        memcmp::eq(&before, &digest).then(|| name.clone())
    }

    /// The configured name of the user if the password is right.
    pub(crate) async fn check(
        &self,
        user: &str,
        password: Zeroizing<String>,
    ) -> Result<Option<String>, Busy> {
        let user = user.to_lowercase();
        let configured = self.users.get(&user);
        let digest = self.digest(&user, &password);
        let waiting = tokio::time::timeout(QUEUE_TIMEOUT, self.checks.acquire()).await;
        let _permit = waiting.map_err(|_| Busy)?.map_err(|_| Busy)?;
        let hash = configured.map_or(&self.decoy, |(_, hash)| hash).clone();
        let checking = tokio::task::spawn_blocking(move || hash.matches(&password));
        let matches = checking.await.unwrap_or(false);
        let Some((name, _)) = configured.filter(|_| matches) else {
            return Ok(None);
        };
        self.known.lock().insert(user, digest);
        Ok(Some(name.clone()))
    }

    fn digest(&self, user: &str, password: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        // A name has no NUL in it.
        for part in [&self.key[..], user.as_bytes(), b"\0", password.as_bytes()] {
            digest.update(part);
        }
        digest.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_hash_is_of_its_password_alone_and_is_read_back() {
        let hash = PasswordHash::new("pässword").unwrap();
        assert_eq!(PasswordHash::parse(&hash.to_string()), Ok(hash.clone()));
        assert!(hash.matches("pässword"));
        assert!(!hash.matches("password") && !hash.matches(""));
        assert_ne!(
            PasswordHash::new("pässword").unwrap(),
            hash,
            "the salt is random"
        );
    }

    /// RFC 7914 section 12, third vector.
    #[test]
    fn the_hash_of_another_program_is_understood() {
        let hash = [
            0x70, 0x23, 0xbd, 0xcb, 0x3a, 0xfd, 0x73, 0x48, 0x46, 0x1c, 0x06, 0xcd, 0x81, 0xfd,
            0x38, 0xeb, 0xfd, 0xa8, 0xfb, 0xba, 0x90, 0x4f, 0x8e, 0x3e, 0xa9, 0xb5, 0x43, 0xf6,
            0x54, 0x5d, 0xa1, 0xf2, 0xd5, 0x43, 0x29, 0x55, 0x61, 0x3f, 0x0f, 0xcf, 0x62, 0xd4,
            0x97, 0x05, 0x24, 0x2a, 0x9a, 0xf9, 0xe6, 0x1e, 0x85, 0xdc, 0x0d, 0x65, 0x1e, 0x40,
            0xdf, 0xcf, 0x01, 0x7b, 0x45, 0x57, 0x58, 0x87,
        ];
        let salt = STANDARD_NO_PAD.encode_to_string("SodiumChloride");
        let hash = STANDARD_NO_PAD.encode_to_string(hash);
        let hash = PasswordHash::parse(&format!("$scrypt$ln=14,r=8,p=1${salt}${hash}")).unwrap();
        assert!(hash.matches("pleaseletmein") && !hash.matches("pleaseletmeout"));
    }

    #[test]
    fn a_hash_that_is_malformed_or_too_costly_is_refused_without_showing_it() {
        let salt_and_hash = "c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let with = |parameters: &str| {
            PasswordHash::parse(&format!("$scrypt${parameters}${salt_and_hash}"))
        };
        assert!(with("ln=15,r=8,p=1").is_ok());
        for parameters in [
            "ln=9,r=8,p=1",
            "ln=17,r=8,p=1",
            "ln=63,r=8,p=1",
            "ln=64,r=8,p=1",
            "ln=15,r=8,p=17",
            "ln=15,r=0,p=1",
            "ln=15,r=4294967295,p=1",
        ] {
            assert_eq!(
                with(parameters),
                Err(PasswordHashError::Parameters),
                "{parameters}"
            );
        }
        for text in [
            "",
            "secret",
            "$argon2id$v=19$m=1,t=1,p=1$a$b",
            "$scrypt$r=8,ln=15,p=1$c2FsdHNhbHQ$AAAA",
        ] {
            let error = PasswordHash::parse(text).unwrap_err().to_string();
            assert!(
                error.contains("expected") && !error.contains("secret"),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn a_name_is_known_in_any_case_and_an_unknown_one_is_no_error() {
        let hash = PasswordHash::cheap("secret");
        let user = UserRule {
            password_hash: Some(sendport_core::secret::Secret::new(hash.to_string())),
            ..UserRule::default()
        };
        let users = Passwords::new(&BTreeMap::from([("Erp".to_owned(), user)])).unwrap();
        let check = async |name: &str, password: &str| {
            users
                .check(name, Zeroizing::new(password.to_owned()))
                .await
                .unwrap()
        };
        assert_eq!(check("ERP", "secret").await.as_deref(), Some("Erp"));
        for _known_now in 0..2 {
            assert_eq!(check("erp", "Secret").await, None);
            assert_eq!(check("Erp", "secret").await.as_deref(), Some("Erp"));
        }
        assert_eq!(check("other", "secret").await, None);
    }
}
