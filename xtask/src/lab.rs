//! `cargo xtask lab`: real origins and edges in network namespaces, to try things by hand or all at once.

use h2watch_tests::lab::observer::{Observers, Seen};
use h2watch_tests::lab::visits::Tour;
use h2watch_tests::lab::{self, EdgeKind, INTERFACE, Lab, OriginKind, PREFIX, judge};
use h2watch_tests::program;
use serde_json::Value;

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

fn run() -> Result<(), String> {
    let (origins, edges) = choose()?;
    lab::down(PREFIX);
    // Built before anything runs.
    program::build_live();
    program::path();
    let lab = Lab::named(PREFIX, &origins, &edges)?;
    let observers = Observers::start(&lab)?;
    let tours = lab.tours()?;
    let mut wrong = Vec::new();
    for (how, seen) in observers.finish(&lab)? {
        println!("\nh2watch {how}, exit status {}\n", seen.status);
        wrong.extend(print(&tours, &seen));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// A line for each visit; gives what does not agree.
fn print(tours: &[Tour], seen: &Seen) -> Vec<String> {
    println!("| way | origin | path | visitor | h2watch | agree |\n| --- | --- | --- | --- | --- | --- |");
    let mut differences = Vec::new();
    for tour in tours {
        let cases = judge::cases(seen, tour);
        for visitor in &tour.visitors {
            let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
            let of_this = cases.iter().filter(|case| case["request"]["path"] == visitor.path);
            let said: Vec<String> = of_this.map(|case| text(&case["outcome"])).collect();
            let wanted = judge::outcome(visitor, tour.edge);
            println!(
                "| {} | {} | {} | HTTP/{} {} curl {} | {} | {} |",
                tour.way(),
                tour.origin.name(),
                visitor.path,
                visitor.version,
                visitor.status,
                visitor.exit,
                if said.is_empty() { "no case".to_owned() } else { said.join(", ") },
                if said.iter().map(String::as_str).eq(wanted) { "yes" } else { "**no**" }
            );
        }
        differences.extend(judge::differences(seen, tour));
    }
    differences.extend(judge::miscounted(seen));
    differences
}
