//! `cargo xtask lab`: real origins and edges in network namespaces, to try things by hand or all at once.

use std::time::Duration;

use h2watch_tests::lab::observer::{Recording, SETTLED, Seen};
use h2watch_tests::lab::visits::{Way, tour};
use h2watch_tests::lab::{self, EdgeKind, INTERFACE, Lab, OriginKind, PREFIX, judge};
use h2watch_tests::visitors::Visitor;

/// Starts or ends a lab, or goes through all of it.
pub fn run_arguments(arguments: &[&str]) -> Result<(), String> {
    match arguments {
        ["up"] => up(),
        ["down"] => {
            lab::down(PREFIX);
            lab::sweep();
            Ok(())
        }
        ["run"] => run(),
        _ => Err(format!("lab takes up, down or run, not {}", arguments.join(" "))),
    }
}

/// All origins and edges that this machine has the programs for; says which it has not.
fn choose() -> Result<(Vec<OriginKind>, Vec<EdgeKind>), String> {
    if let Some(lack) = lab::lacking(&[], &[]) {
        return Err(format!("the lab does not work here: {lack}"));
    }
    let usable = |name: &str, lack: Option<String>| {
        if let Some(lack) = &lack {
            println!("skipped: {name}: {lack}");
        }
        lack.is_none()
    };
    let origins = OriginKind::ALL.into_iter().filter(|&kind| usable(kind.name(), lab::lacking(&[kind], &[]))).collect();
    let edges = EdgeKind::ALL.into_iter().filter(|&kind| usable(kind.name(), lab::lacking(&[], &[kind]))).collect();
    Ok((origins, edges))
}

fn up() -> Result<(), String> {
    let (origins, edges) = choose()?;
    if lab::is_up(PREFIX) {
        return Err("a lab is up already, or was not taken down: cargo xtask lab down".to_owned());
    }
    let lab = Lab::named(PREFIX, &origins, &edges)?;
    let folder = lab.folder().display().to_string();
    println!("{:<16} {:<8} {:<22} {:<32} process", "what", "before", "namespace", "for visitors");
    for origin in &lab.origins {
        let url = format!("https://{}/", lab.origin.at(origin.kind.tls_port()));
        let process = origin.programs.first().map_or(0, |program| program.id());
        println!("{:<16} {:<8} {:<22} {url:<32} {process}", origin.kind.name(), "", lab.origin.name);
    }
    for edge in &lab.edges {
        let (kind, url) = (edge.kind.name(), format!("{}/", edge.url()));
        println!("{kind:<16} {:<8} {:<22} {url:<32} {}", edge.origin.name(), edge.host.name, edge.program.id());
    }
    println!(
        "\nask       ip netns exec {visitor} curl -k {url}/h1only/x\n\
         watch     ip netns exec {origin} h2watch watch --interface {INTERFACE} --keylog {folder}/keys/kestrel.keys\n\
         capture   ip netns exec {origin} tcpdump -i {INTERFACE} -w origin.pcap\n\
         keys      {folder}/keys\n\
         logs      {folder}/*.log\n\
         refused   {refused}\n\
         end       cargo xtask lab down",
        visitor = lab.visitor.name,
        origin = lab.origin.name,
        url = lab.edges.first().map_or_else(|| format!("https://{}", lab.origin.at(8_443)), lab::Edge::url),
        refused = refused(&lab),
    );
    lab.leave();
    Ok(())
}

fn refused(lab: &Lab) -> String {
    let paths =
        lab.origins.iter().filter_map(|origin| Some(format!("{}: {}…", origin.kind.name(), origin.kind.refused()?)));
    paths.collect::<Vec<_>>().join(", ")
}

/// One way to an origin, and what its visitors got.
struct Toured {
    way: String,
    origin: OriginKind,
    client: std::net::Ipv4Addr,
    port: u16,
    visitors: Vec<Visitor>,
}

fn run() -> Result<(), String> {
    let (origins, edges) = choose()?;
    lab::down(PREFIX);
    let lab = Lab::named(PREFIX, &origins, &edges)?;
    let recording = Recording::start(&lab)?;
    let mut toured = Vec::new();
    for origin in origins {
        let visitors =
            tour(origin).iter().map(|path| lab.visit(Way::Direct(origin), path)).collect::<Result<_, _>>()?;
        let (client, port) = (lab.visitor.address, origin.tls_port());
        toured.push(Toured { way: "curl".to_owned(), origin, client, port, visitors });
    }
    for edge in &lab.edges {
        let url = edge.url();
        let visitors =
            tour(edge.origin).iter().map(|path| lab.visit(Way::Edge(&url), path)).collect::<Result<_, _>>()?;
        let (client, port) = (edge.host.address, edge.origin.edge_port().0);
        toured.push(Toured { way: edge.kind.name().to_owned(), origin: edge.origin, client, port, visitors });
    }
    std::thread::sleep(SETTLED + Duration::from_secs(0));
    let seen = recording.finish(&lab)?;
    print(&toured, &seen)
}

fn print(toured: &[Toured], seen: &Seen) -> Result<(), String> {
    println!("| way | origin | path | visitor | h2watch | agree |\n| --- | --- | --- | --- | --- | --- |");
    let mut differences = Vec::new();
    for tour in toured {
        let cases = judge::cases(seen, tour.client, tour.port);
        for visitor in &tour.visitors {
            let said: Vec<String> = cases
                .iter()
                .filter(|case| case["request"]["path"] == visitor.path)
                .map(|case| {
                    format!("{} {}", case["kind"].as_str().unwrap_or("?"), case["outcome"].as_str().unwrap_or("?"))
                })
                .collect();
            let said = if said.is_empty() { "no case".to_owned() } else { said.join(", ") };
            let wanted = judge::outcome(visitor).unwrap_or("no case");
            println!(
                "| {} | {} | {} | HTTP/{} {} curl {} | {said} | {} |",
                tour.way,
                tour.origin.name(),
                visitor.path,
                visitor.version,
                visitor.status,
                visitor.exit,
                if said.ends_with(wanted) { "yes" } else { "NO" }
            );
        }
        let found = judge::differences(&tour.visitors, &cases);
        differences
            .extend(found.into_iter().map(|found| format!("{} before {}: {found}", tour.way, tour.origin.name())));
    }
    differences.extend(judge::miscounted(seen));
    println!("\nh2watch's summary: {}", seen.summary()["verdict"]);
    if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
}
