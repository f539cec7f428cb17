//! Passwords: bcrypt is slow by design, so it is done away from the threads that answer, few at a time, and once for each client that
//! knows its password.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use hyper::header::{self, HeaderMap};
use tokio::sync::Semaphore;

/// Checks at a time, and checks that wait.
const AT_ONCE: usize = 2;
const WAITING: usize = 32;

/// Passwords that were right lately.
const REMEMBERED: usize = 256;

/// bcrypt uses no more bytes of a password; what is longer than this is none.
const LONGEST: usize = 1_024;

/// Users and the bcrypt hashes of their passwords.
pub(super) type Users = BTreeMap<String, String>;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No password, or a wrong one.
    Unknown,
    /// Too many are being checked.
    Busy,
}

/// Checks passwords.
#[derive(Debug)]
pub(super) struct Guard {
    /// Of this process only: what is remembered says nothing about the passwords to whom reads it alone.
    key: Option<hmac::Key>,
    right: Mutex<HashSet<[u8; 32]>>,
    checks: Arc<Semaphore>,
    queue: Semaphore,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            // Without random numbers nothing is remembered, and every password is checked anew.
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok(),
            right: Mutex::default(),
            checks: Arc::new(Semaphore::new(AT_ONCE)),
            queue: Semaphore::new(WAITING),
        }
    }
}

impl Guard {
    /// Whether the request names a user with the right password.
    pub(super) async fn check(&self, users: &Users, headers: &HeaderMap) -> Result<(), Refusal> {
        let (user, password) = credentials(headers).ok_or(Refusal::Unknown)?;
        // The hash of an unknown user is one of the dearest there are, so that the time does not tell who is known.
        let dearest = users.values().max_by_key(|hash| cost(hash)).ok_or(Refusal::Unknown)?;
        let (hash, known) = users.get(&user).map_or((dearest, false), |hash| (hash, true));
        let tag = self.key.as_ref().map(|key| tag(key, &user, &password, hash));
        if known && tag.is_some_and(|tag| self.right().contains(&tag)) {
            return Ok(());
        }
        let _waiting = self.queue.try_acquire().map_err(|_| Refusal::Busy)?;
        let permit = Arc::clone(&self.checks).acquire_owned().await.map_err(|_| Refusal::Busy)?;
        let hash = hash.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let right = bcrypt::verify(&password, &hash).unwrap_or(false);
            drop(permit);
            right
        });
        if !(checked.await.unwrap_or(false) && known) {
            return Err(Refusal::Unknown);
        }
        if let Some(tag) = tag {
            let mut right = self.right();
            if right.len() >= REMEMBERED {
                right.clear();
            }
            right.insert(tag);
        }
        Ok(())
    }

    fn right(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names user, password and hash: with another hash in the file it is another name.
fn tag(key: &hmac::Key, user: &str, password: &[u8], hash: &str) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in [user.as_bytes(), password, hash.as_bytes()] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut tag = [0; 32];
    let signed = context.sign();
    tag.iter_mut().zip(signed.as_ref()).for_each(|(to, from)| *to = *from);
    tag
}

/// The cost in a bcrypt hash: `$2y$12$…`.
pub(super) fn cost(hash: &str) -> Option<u32> {
    hash.split('$').nth(2)?.parse().ok()
}

/// User and password of `Authorization: Basic` (RFC 7617).
fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64(encoded.trim())?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    let (user, password) = (decoded.get(..colon)?, decoded.get(colon + 1..)?);
    Some((String::from_utf8(user.to_vec()).ok()?, password.to_vec()))
}

/// Decodes base64 (RFC 4648 section 4), strictly.
fn base64(text: &str) -> Option<Vec<u8>> {
    let (bytes, mut out) = (text.as_bytes(), Vec::new());
    if bytes.is_empty() || bytes.len() % 4 != 0 || bytes.len() > LONGEST * 2 {
        return None;
    }
    let body = text.trim_end_matches('=');
    if bytes.len() - body.len() > 2 {
        return None;
    }
    let (mut bits, mut count) = (0_u32, 0);
    for byte in body.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    (bits & ((1 << count) - 1) == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};

    use super::{Guard, Refusal, Users, base64, cost, credentials};

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    fn users() -> Users {
        Users::from([("alice".to_owned(), bcrypt::hash("secret:", 4).unwrap())])
    }

    #[test]
    fn base64_is_strict() {
        assert_eq!(base64("YWxpY2U6c2VjcmV0Og==").unwrap(), b"alice:secret:");
        assert_eq!(base64("AP8Q").unwrap(), [0, 255, 16]);
        for wrong in ["", "A", "AB", "ABC", "A===", "====", "AB==CD==", "AB=C", "A*==", "AB_-", "//==8"] {
            assert_eq!(base64(wrong), None, "{wrong}");
        }
        assert_eq!(base64("AB=="), None, "bits that say nothing are zero");
        assert_eq!(base64(&"AAAA".repeat(1_000)), None);
    }

    #[test]
    fn credentials_end_at_the_first_colon() {
        assert_eq!(
            credentials(&headers("bAsIc YWxpY2U6c2VjcmV0Og==")).unwrap(),
            ("alice".to_owned(), b"secret:".to_vec())
        );
        for wrong in ["Bearer YWxpY2U6c2VjcmV0Og==", "Basic", "Basic YWxpY2U=", "Basic /zo="] {
            assert_eq!(credentials(&headers(wrong)), None, "{wrong}");
        }
        let mut two = headers("Basic YWxpY2U6c2VjcmV0Og==");
        two.append(AUTHORIZATION, HeaderValue::from_static("Basic YWxpY2U6c2VjcmV0Og=="));
        assert_eq!(credentials(&two), None);
        assert_eq!(credentials(&HeaderMap::new()), None);
        assert_eq!(cost("$2y$12$abc"), Some(12));
    }

    #[tokio::test]
    async fn the_right_password_is_remembered_and_no_other() {
        let (guard, users) = (Guard::default(), users());
        let right = headers("Basic YWxpY2U6c2VjcmV0Og==");
        for _ in 0..2 {
            assert_eq!(guard.check(&users, &right).await, Ok(()));
        }
        assert_eq!(guard.right().len(), 1);
        // mallory:secret: and alice:wrong
        for wrong in ["Basic bWFsbG9yeTpzZWNyZXQ6", "Basic YWxpY2U6d3Jvbmc="] {
            assert_eq!(guard.check(&users, &headers(wrong)).await, Err(Refusal::Unknown), "{wrong}");
        }
        assert_eq!(guard.check(&users, &HeaderMap::new()).await, Err(Refusal::Unknown));
        assert_eq!(guard.right().len(), 1);
        let changed = Users::from([("alice".to_owned(), bcrypt::hash("other", 4).unwrap())]);
        assert_eq!(guard.check(&changed, &right).await, Err(Refusal::Unknown), "the hash in the file counts");
        assert_eq!(guard.check(&Users::new(), &right).await, Err(Refusal::Unknown));
    }

    #[tokio::test]
    async fn a_flood_of_passwords_is_refused() {
        let (guard, users) = (Guard::default(), users());
        let _all = guard.queue.acquire_many(super::WAITING as u32).await.unwrap();
        assert_eq!(guard.check(&users, &headers("Basic YWxpY2U6d3Jvbmc=")).await, Err(Refusal::Busy));
    }
}
