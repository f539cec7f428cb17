use std::sync::Arc;

use h2_tap::Auth;
use tls_tap::keys::Kind as SecretKind;
use tls_tap::{
    Alert, Chunk, Followed, Gap, Hello, KeyStore, Proof, Reader, Secret, Secured, Session, SessionNames, Tls, Version,
    keylog,
};
use zeroize::Zeroizing;

use super::http::Http;
use super::voice::Teller;
use crate::limits::Limits;
use crate::model::{DarkWhy, HandshakeName, HelloSeen, Kind, Owners, SecretName, SecuredSeen, Side, Time};

/// TLS on a connection, and HTTP inside it.
#[derive(Debug)]
pub(crate) struct TlsLayer<'m> {
    tap: Tls<'m>,
    inner: Inner,
    /// Samples for the late search were handed out: of the client, of the server.
    sampled: [bool; 2],
    /// It is in the list of those that the late search is to know.
    listed: bool,
    /// It is in the index of those that wait for a key.
    registered: bool,
    /// It is in the list of those that are told to be dark once they have waited long enough.
    clocked: bool,
}

/// What the TLS layers of a shard share besides keys.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// Client randoms of the hellos that were seen.
    pub(crate) claims: Vec<[u8; 32]>,
    /// Client randoms of the handshakes whose transcript has led to a secret.
    pub(crate) by_transcript: Vec<[u8; 32]>,
    /// Sessions of TLS 1.2 whose master secret is known.
    pub(crate) made: Vec<(SessionNames, Secret)>,
    /// Client randoms of the handshakes that resume one.
    pub(crate) resumed: Vec<([u8; 32], SessionNames)>,
    /// Who had the secrets that a probe took.
    pub(crate) owners: Arc<Owners>,
    /// Secrets that followed from others, as lines of a key log; `None`: nobody asks for them.
    pub(crate) followed: Option<Vec<Zeroizing<String>>>,
}

/// Names of handshakes that wait until they are taken.
const CLAIMS: usize = 1 << 16;

/// What hears the records.
#[derive(Debug)]
struct Inner {
    /// Its handshake was named.
    named: bool,
    /// The process that had a secret was told.
    owned: bool,
    http: Http,
    tls13: bool,
    now: Time,
}

const fn of(side: Side) -> tls_tap::Side {
    match side {
        Side::Client => tls_tap::Side::Client,
        Side::Server => tls_tap::Side::Server,
    }
}

const fn from(side: tls_tap::Side) -> Side {
    match side {
        tls_tap::Side::Client => Side::Client,
        tls_tap::Side::Server => Side::Server,
    }
}

impl<'m> TlsLayer<'m> {
    pub(crate) fn new(midstream: bool, limits: &Limits) -> Self {
        let caps = tls_tap::Limits { held: limits.held_flow, ..tls_tap::Limits::default() };
        Self {
            tap: if midstream { Tls::midstream(caps) } else { Tls::new(caps) },
            inner: Inner { named: false, owned: false, http: Http::undecided(midstream), tls13: false, now: Time(0) },
            sampled: [false; 2],
            listed: false,
            registered: false,
            clocked: false,
        }
    }

    pub(crate) fn data(
        &mut self,
        time: Time,
        side: Side,
        chunk: Chunk<'m, '_>,
        keys: &KeyStore,
        beside: &mut Beside,
        teller: &mut Teller<'_>,
    ) {
        self.inner.now = time;
        self.say_lag(teller);
        self.tap.data(time.0, of(side), chunk, keys, &mut Ears { inner: &mut self.inner, beside, teller });
        self.say_name(teller);
        self.say_owner(beside, teller);
        self.say_blind(time, keys, teller);
    }

    /// Names the handshake as soon as both hellos were seen.
    fn say_name(&mut self, teller: &mut Teller<'_>) {
        if self.inner.named {
            return;
        }
        let randoms = || self.tap.randoms().map(|(client, server)| (*client, *server));
        let name = match (self.tap.transcript(), randoms()) {
            (Some(transcript), _) => HandshakeName::Transcript(transcript),
            (None, Some((client, server))) => HandshakeName::Randoms { client, server },
            (None, None) => return,
        };
        self.inner.name(name, teller);
    }

    /// The process that had the key of this connection, by its client random.
    fn say_owner(&mut self, beside: &mut Beside, teller: &mut Teller<'_>) {
        if !self.inner.owned
            && !beside.owners.is_empty()
            && let Some(random) = self.tap.random().copied()
        {
            Ears { inner: &mut self.inner, beside, teller }.owner(&random);
        }
    }

    pub(crate) fn gap(
        &mut self,
        time: Time,
        side: Side,
        bytes: u64,
        keys: &KeyStore,
        beside: &mut Beside,
        teller: &mut Teller<'_>,
    ) {
        self.inner.now = time;
        self.tap.gap(time.0, of(side), bytes, keys, &mut Ears { inner: &mut self.inner, beside, teller });
    }

    /// What the client does may answer records of the server that are not readable yet.
    fn say_lag(&self, teller: &mut Teller<'_>) {
        if self.tap.hides(tls_tap::Side::Server) {
            teller.voice.set_server_lags(true);
        }
    }

    /// A connection whose key is missing is dark from the first record on that is held behind both hellos, not only from its end. One of
    /// TLS 1.2 that was joined late is from the first record on that shows its version: no key log can help it.
    fn say_blind(&self, time: Time, keys: &KeyStore, teller: &mut Teller<'_>) {
        if teller.is_dark(Side::Client) || !self.tap.is_blind() {
            return;
        }
        if self.tap.is_without_key(keys) {
            teller.dark(time, None, DarkWhy::Tls(tls_tap::Dark::NoKey));
        } else if teller.limits.tells_early() && self.is_late_tls12(keys) {
            teller.dark(time, None, DarkWhy::Tls(tls_tap::Dark::JoinedLateTls12));
        }
    }

    fn is_late_tls12(&self, keys: &KeyStore) -> bool {
        self.tap.withheld(keys).iter().flatten().any(|(_, why)| *why == tls_tap::Dark::JoinedLateTls12)
    }

    /// It holds something back that was not told to be dark: worth a [`say_withheld`](Self::say_withheld) after a while. Said once until
    /// then.
    pub(crate) fn wants_clock(&mut self, dark: [bool; 2]) -> bool {
        let [client, server] = dark;
        let silent =
            !client && self.tap.holds(tls_tap::Side::Client) || !server && self.tap.holds(tls_tap::Side::Server);
        let wants = silent && !self.clocked;
        self.clocked |= wants;
        wants
    }

    /// What is held back was held for long enough: the sides are dark from then on when it began.
    pub(crate) fn say_withheld(&mut self, keys: &KeyStore, teller: &mut Teller<'_>) {
        self.clocked = false;
        match self.tap.withheld(keys) {
            [Some((client, why)), Some((server, same))]
                if why == same && !teller.is_dark(Side::Client) && !teller.is_dark(Side::Server) =>
            {
                teller.dark(Time(client.min(server)), None, DarkWhy::Tls(why));
            }
            sides => {
                for (side, withheld) in [Side::Client, Side::Server].into_iter().zip(sides) {
                    if let Some((since, why)) = withheld.filter(|_| !teller.is_dark(side)) {
                        teller.dark(Time(since), Some(side), DarkWhy::Tls(why));
                    }
                }
            }
        }
    }

    pub(crate) fn retry(&mut self, keys: &KeyStore, beside: &mut Beside, teller: &mut Teller<'_>) {
        self.registered = false;
        self.say_owner(beside, teller);
        self.tap.retry(keys, &mut Ears { inner: &mut self.inner, beside, teller });
    }

    pub(crate) fn unlock(
        &mut self,
        found: tls_tap::late::Found,
        keys: &KeyStore,
        beside: &mut Beside,
        teller: &mut Teller<'_>,
    ) {
        self.say_lag(teller);
        self.tap.unlock(found, keys, &mut Ears { inner: &mut self.inner, beside, teller });
    }

    /// The connection is over. `orderly`: with a FIN of the server.
    pub(crate) fn finish(
        &mut self,
        time: Time,
        orderly: bool,
        keys: &KeyStore,
        beside: &mut Beside,
        teller: &mut Teller<'_>,
    ) {
        self.tap.finish(time.0, keys, &mut Ears { inner: &mut self.inner, beside, teller });
        self.inner.http.finish(teller.voice.left(time), orderly, teller);
        teller.unread(self.tap.unread());
    }

    /// The server has ended its direction.
    pub(crate) fn http_finish(&mut self, time: Time, teller: &mut Teller<'_>) {
        self.inner.http.finish(time, true, teller);
    }

    /// Something is held back, and its key is in no key log yet.
    pub(crate) fn waits(&self, keys: &KeyStore) -> bool {
        let unknown = || self.tap.random().is_none_or(|random| keys.get(random).is_none());
        self.tap.is_blind() && (unknown() || self.tap.lacks_secret(keys))
    }

    /// Something is held back.
    #[inline]
    pub(crate) fn is_blind(&self) -> bool {
        self.tap.is_blind()
    }

    /// The names under which a key is waited for: the random, and the transcript; given once until keys were tried.
    pub(crate) fn wants_key(&mut self) -> impl Iterator<Item = [u8; 32]> + use<'m> {
        let wants = !self.registered && self.tap.waits_for_key();
        self.registered |= wants;
        let names = wants.then(|| [self.tap.random().copied(), self.tap.transcript()]);
        names.into_iter().flatten().flatten()
    }

    /// Records that a late search may try; each side's once.
    pub(crate) fn samples(&mut self) -> Vec<(tls_tap::Side, Vec<tls_tap::late::Sample>)> {
        let [client, server] = &mut self.sampled;
        let named = self.tap.random().is_some() && !self.tap.joined_late();
        if !self.tap.is_blind() || named || (*client && *server) {
            return Vec::new();
        }
        let mut sides = [(tls_tap::Side::Client, Vec::new()), (tls_tap::Side::Server, Vec::new())];
        for (side, sample) in self.tap.samples() {
            for (of, samples) in &mut sides {
                if *of == side {
                    samples.push(sample.clone());
                }
            }
        }
        sides
            .into_iter()
            .filter(|(side, samples)| {
                let done = match side {
                    tls_tap::Side::Client => &mut *client,
                    tls_tap::Side::Server => &mut *server,
                };
                !samples.is_empty() && !std::mem::replace(done, true)
            })
            .collect()
    }

    /// The handshake was not seen, and there may be samples of a side that has given none. One side's secret may be found before the
    /// other has said anything. Said once.
    pub(crate) fn wants_search(&mut self) -> bool {
        let [client, server] = self.sampled;
        let sampled = client && server;
        let named = self.tap.random().is_some() && !self.tap.joined_late();
        let wants = !self.listed && !sampled && !named && self.tap.is_blind();
        self.listed |= wants;
        wants
    }

    /// It was asked for samples: the next segment may give more.
    pub(crate) const fn unlist(&mut self) {
        self.listed = false;
    }

    /// ClientHello.random, where it is known.
    pub(crate) fn random(&self) -> Option<[u8; 32]> {
        self.tap.random().copied()
    }

    /// Nothing will make it readable.
    pub(crate) const fn is_dead(&self) -> bool {
        self.tap.is_dead()
    }

    pub(crate) fn held(&self) -> usize {
        self.tap.held()
    }

    /// Bytes that no key makes readable any more.
    pub(crate) fn unreadable(&self) -> u64 {
        self.tap.unreadable()
    }

    /// Memory of TLS and of HTTP.
    pub(crate) fn memory(&self) -> (usize, usize) {
        (self.tap.memory(), self.inner.http.memory())
    }
}

/// Hears one connection's records for the duration of a call.
struct Ears<'a, 'b> {
    inner: &'a mut Inner,
    beside: &'a mut Beside,
    teller: &'a mut Teller<'b>,
}

impl Inner {
    fn name(&mut self, name: HandshakeName, teller: &mut Teller<'_>) {
        if !std::mem::replace(&mut self.named, true) {
            teller.tell(self.now, Kind::Named(Box::new(name)));
        }
    }
}

impl Ears<'_, '_> {
    /// Tells who had the secret of this name.
    fn owner(&mut self, name: &SecretName) {
        if let Some(process) = self.beside.owners.get(name)
            && !std::mem::replace(&mut self.inner.owned, true)
        {
            self.teller.tell(self.inner.now, Kind::Process(Arc::clone(process)));
        }
    }
}

impl Reader for Ears<'_, '_> {
    fn skippable(&self, side: tls_tap::Side) -> u64 {
        self.inner.http.skippable(from(side))
    }

    fn peek(&mut self, time: u64, side: tls_tap::Side, bytes: &[u8]) -> Option<u64> {
        self.inner.http.peek(Time(time), from(side), bytes, self.teller)
    }

    fn plaintext(&mut self, time: u64, side: tls_tap::Side, bytes: &[u8], record_start: bool, proof: &mut dyn Proof) {
        let side = from(side);
        self.inner.now = Time(time);
        self.teller.lit_tls(Time(time), side);
        let mut auth = || match proof.authenticate() {
            Ok(true) => Auth::Verified,
            Ok(false) => Auth::Unverified,
            Err(tls_tap::Forged) => Auth::Forged,
        };
        self.inner.http.data(Time(time), side, bytes, record_start, &mut auth, self.teller);
    }

    fn skipped(&mut self, side: tls_tap::Side, bytes: u64) {
        let now = self.inner.now;
        self.inner.http.skipped(now, from(side), bytes, self.teller);
    }

    fn gap(&mut self, time: u64, side: tls_tap::Side, gap: Gap) {
        self.inner.http.gap(Time(time), from(side), gap.min, gap.max, self.teller);
    }

    fn client_hello(&mut self, time: u64, hello: Hello) {
        if self.beside.claims.len() < CLAIMS {
            self.beside.claims.push(hello.random);
        }
        self.teller.tell(Time(time), Kind::Hello(Box::new(HelloSeen { sni: hello.sni, alpn: hello.alpn })));
    }

    fn secured(&mut self, time: u64, secured: Secured) {
        let version = match secured.version {
            Version::Tls12 => "1.2",
            Version::Tls13 => "1.3",
            Version::Other(_) => "other",
        };
        self.inner.tls13 = secured.version == Version::Tls13;
        let alpn = secured.alpn.clone();
        let seen = SecuredSeen { version, suite: secured.suite, alpn: secured.alpn, resumed: secured.resumed };
        self.teller.tell(Time(time), Kind::Secured(Box::new(seen)));
        if let Some(alpn) = alpn {
            self.inner.http.alpn(Time(time), &alpn, self.teller);
        }
    }

    fn followed(&mut self, followed: Followed<'_>) {
        self.inner.name(HandshakeName::Transcript(*followed.transcript), self.teller);
        self.owner(followed.transcript);
        // Of the secrets that follow, this one comes once in a connection.
        if followed.kind == SecretKind::Handshake(tls_tap::Side::Server) && self.beside.by_transcript.len() < CLAIMS {
            self.beside.by_transcript.push(*followed.random);
        }
        if let Some(lines) = &mut self.beside.followed {
            lines.push(keylog::line(followed.random, followed.kind, followed.secret));
        }
    }

    fn session(&mut self, session: Session<'_>) {
        let Beside { made, resumed, .. } = self.beside;
        match session {
            Session::Made { names, master } if made.len() < CLAIMS => made.push((names, master.clone())),
            Session::Resumed { random, names } if resumed.len() < CLAIMS => resumed.push((*random, names)),
            Session::Made { .. } | Session::Resumed { .. } => {}
        }
    }

    fn alert(&mut self, time: u64, alert: Alert) {
        self.teller.alert(Time(time), from(alert.by), alert.level, alert.description, self.inner.tls13);
    }

    fn dark(&mut self, time: u64, side: Option<tls_tap::Side>, why: tls_tap::Dark) {
        self.teller.dark(Time(time), side.map(from), DarkWhy::Tls(why));
    }
}
