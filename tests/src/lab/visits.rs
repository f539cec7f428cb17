//! Visitors: curl, and what it got.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::{EdgeKind, Lab, OriginKind};
use crate::visitors::{self, Visitor};

/// Who asks, by which way.
#[derive(Clone, Copy, Debug)]
pub enum Way<'a> {
    /// The origin itself.
    Direct(OriginKind),
    /// The origin itself, with a client certificate at hand.
    WithCertificate(OriginKind),
    /// An edge, at this URL.
    Edge(&'a str),
}

impl Lab {
    /// One visitor asks for `path`.
    ///
    /// # Errors
    /// When curl cannot be run, or says nothing of its result.
    pub fn visit(&self, way: Way<'_>, path: &str) -> Result<Visitor, String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--max-time", "20", "--output", "/dev/null", "--cacert"]);
        curl.arg(self.folder().join("cert.pem"));
        curl.args(["--write-out", "%{method} %{url} %{http_version} %{http_code} %{exitcode}\n"]);
        let url = match way {
            Way::Edge(url) => format!("{url}{path}"),
            Way::Direct(origin) | Way::WithCertificate(origin) => {
                // nghttpd logs no keys. curl opens the file anew for each run, and appends.
                curl.env("SSLKEYLOGFILE", self.visitors_keys());
                if let Way::WithCertificate(_) = way {
                    curl.arg("--cert").arg(self.folder().join("cert.pem"));
                    curl.arg("--key").arg(self.folder().join("key.pem"));
                }
                format!("https://{}{path}", self.origin.at(origin.tls_port()))
            }
        };
        curl.arg(&url).stdin(Stdio::null());
        let output = self.visitor.inside(|| curl.output())?.map_err(|error| format!("cannot run curl: {error}"))?;
        let line = String::from_utf8_lossy(&output.stdout);
        let mut visitor =
            visitors::line(line.trim()).ok_or_else(|| format!("curl {url}: {}: {line}", output.status))?;
        visitor.direct = !matches!(way, Way::Edge(_));
        Ok(visitor)
    }

    /// Many visitors ask for the same path at the same time, `parallel` of them at once.
    ///
    /// # Errors
    /// As [`Lab::visit`].
    pub fn visit_at_once(
        &self,
        way: Way<'_>,
        path: &str,
        count: usize,
        parallel: usize,
    ) -> Result<Vec<Visitor>, String> {
        let left = Mutex::new(0..count);
        let next = || left.lock().is_ok_and(|mut left| left.next().is_some());
        std::thread::scope(|scope| {
            let asking = || {
                let mut got = Vec::new();
                while next() {
                    got.push(self.visit(way, path)?);
                }
                Ok::<_, String>(got)
            };
            let threads: Vec<_> = (0..parallel).map(|_| scope.spawn(asking)).collect();
            let mut all = Vec::new();
            for thread in threads {
                match thread.join() {
                    Ok(got) => all.extend(got?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok(all)
        })
    }
}

/// One way to an origin, and what its visitors got.
#[derive(Clone, Debug)]
pub struct Tour {
    /// The edge; `None`: curl asks the origin itself.
    pub edge: Option<EdgeKind>,
    /// The origin.
    pub origin: OriginKind,
    /// Who is the origin's client.
    pub client: Ipv4Addr,
    /// The origin's port.
    pub port: u16,
    /// What each visitor got.
    pub visitors: Vec<Visitor>,
}

impl Tour {
    /// In tables: the edge, or `curl`.
    #[must_use]
    pub const fn way(&self) -> &'static str {
        match self.edge {
            Some(edge) => edge.name(),
            None => "curl",
        }
    }
}

impl Lab {
    /// On every way to every origin, one visitor after the other asks for every path of [`paths`]. The query names the way: to an origin,
    /// the same visitor's same URL through two edges within the window is one request that was tried twice.
    ///
    /// # Errors
    /// As [`Lab::visit`].
    pub fn tours(&self) -> Result<Vec<Tour>, String> {
        let visit = |way: Way<'_>, origin, name| {
            paths(origin).iter().map(|path| self.visit(way, &format!("{path}?{name}"))).collect::<Result<_, _>>()
        };
        let direct = self.origins.iter().map(|origin| {
            let origin = origin.kind;
            let visitors = visit(Way::Direct(origin), origin, "curl")?;
            Ok(Tour { edge: None, origin, client: self.visitor.address, port: origin.tls_port(), visitors })
        });
        let edges = self.edges.iter().map(|edge| {
            let (client, port) = (edge.host.address, edge.origin.edge_port().0);
            let visitors = visit(Way::Edge(&edge.url()), edge.origin, edge.kind.name())?;
            Ok(Tour { edge: Some(edge.kind), origin: edge.origin, client, port, visitors })
        });
        direct.chain(edges).collect()
    }
}

/// The paths that every way to an origin is asked for: those that go well, and every fault the origin has.
#[must_use]
pub fn paths(origin: OriginKind) -> &'static [&'static str] {
    match origin {
        OriginKind::Kestrel => {
            &["/", "/h1only/a", "/big/20000", "/h1only/b", "/late/13", "/late/2", "/abort", "/reset/8", "/slow/20"]
        }
        OriginKind::Apache => &["/", "/secure/a", "/small", "/secure/b", "/body"],
        OriginKind::Nghttpd => &["/", "/small", "/body"],
    }
}
