use super::*;
use crate::model::{Edge, IdentityKind};

fn build(fields: &[(&str, &str)], secure: bool) -> Arc<Request> {
    let mut draft = Draft::default();
    for (name, value) in fields {
        draft.field(name.as_bytes(), value.as_bytes());
    }
    Builder::default().build(draft, secure)
}

const GET: [(&str, &str); 3] = [(":method", "GET"), (":scheme", "https"), (":authority", "Shop.example")];

fn get(path: &str, more: &[(&str, &str)]) -> Arc<Request> {
    build(&[&GET[..], &[(":path", path)], more].concat(), true)
}

#[test]
fn query_user_and_secrets_do_not_stay() {
    let request = build(
        &[
            (":method", "GET"),
            (":authority", "user:pw@shop.example"),
            (":path", "/a?token=s3cret#f"),
            ("authorization", "Negotiate s3cret"),
            ("cookie", "id=s3cret"),
        ],
        true,
    );
    assert_eq!(request.path.as_deref(), Some("/a"));
    assert_eq!(request.authority.as_deref(), Some("shop.example"));
    assert_eq!(request.evidence.as_slice(), [Evidence::AuthorizationNegotiate]);
    let text = format!("{request:?}");
    assert!(!text.contains("s3cret") && !text.contains("pw"));
}

#[test]
fn the_target_depends_on_the_query_and_not_on_the_hosts_case() {
    assert_ne!(get("/a?x=1", &[]).target, get("/a?x=2", &[]).target);
    let lower = build(&[(":method", "GET"), ("host", "shop.example"), (":path", "/a?x=1")], false);
    assert_eq!(lower.target, get("/a?x=1", &[]).target);
    assert_eq!(build(&[(":method", "GET"), (":path", "/")], true).target, None);
}

#[test]
fn an_absolute_target_is_taken_apart() {
    let request = build(&[(":method", "GET"), (":path", "http://a.example/b?c"), ("host", "x")], false);
    assert_eq!((request.authority.as_deref(), request.path.as_deref()), (Some("a.example"), Some("/b")));
    let request = build(&[(":method", "CONNECT"), (":path", "a.example:443")], false);
    assert_eq!((request.authority.as_deref(), request.path.as_deref()), (Some("a.example:443"), None));
    assert!(request.tunnel);
}

#[test]
fn identities_and_edges() {
    let kinds = |fields: &[(&str, &str)]| -> Vec<IdentityKind> {
        get("/", fields).identity.iter().map(|identity| identity.kind).collect()
    };
    assert_eq!(kinds(&[("x-request-id", "abc"), ("cf-ray", "1-FRA")]), [IdentityKind::RequestId, IdentityKind::RayId]);
    assert_eq!(kinds(&[("x-request-id", ""), ("b3", "0"), ("traceparent", "00-0-0-0")]), []);
    let trace = |span: &str| {
        let value = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span}-01");
        get("/", &[("traceparent", &value)]).identity.clone()
    };
    assert_eq!(trace("00f067aa0ba902b7"), trace("1111111111111111"));

    let edge = |name: &str, value: &str| get("/", &[("x-forwarded-for", "192.0.2.1"), (name, value)]).edge;
    assert_eq!(edge("cdn-loop", "cloudflare; subreqs=1"), Some(Edge::Cloudflare));
    assert_eq!(edge("cdn-loop", "fastly, other"), Some(Edge::OtherCdn));
    assert_eq!(edge("via", "2.0 abc.cloudfront.net (CloudFront)"), Some(Edge::CloudFront));
    assert_eq!(edge("x-azure-ref", "abc"), Some(Edge::AzureFrontDoor));
    assert_eq!(edge("accept", "*/*"), Some(Edge::Proxy));
    assert_eq!(get("/", &[]).edge, None);
}

#[test]
fn evidence() {
    let of = |fields: &[(&str, &str)]| build(fields, true).evidence.to_vec();
    assert_eq!(of(&[(":scheme", "http")]), [Evidence::SchemeMismatch]);
    assert_eq!(of(&[("authorization", "ntlm TlRM")]), [Evidence::AuthorizationNtlm]);
    assert_eq!(of(&[("authorization", "Bearer x")]), []);
    assert_eq!(of(&[(":protocol", "websocket")]), [Evidence::ExtendedConnect]);
    assert_eq!(of(&[("upgrade", "websocket")]), [Evidence::Upgrade]);
}

#[test]
fn text_is_bounded_and_clean() {
    let long = format!("/{}", "x".repeat(10_000));
    assert!(get(&long, &[]).path.as_deref().unwrap().len() < 2_100);
    assert_eq!(get("/\x1b[31m\u{e9}", &[]).path.as_deref(), Some("/\u{fffd}[31m\u{e9}"));
}
