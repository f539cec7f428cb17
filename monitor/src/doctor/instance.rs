//! A run that is there: asked over its web port.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use super::Report;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer that are read.
const LARGEST: u64 = 16 << 20;

/// `true`: it is a run, and it is ready.
pub(super) fn ask(url: &str, report: &mut Report) -> bool {
    let Some(authority) = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')) else {
        report.unknown(
            "instance",
            format!("{url}: only http:// is asked from here"),
            "use `curl` for /-/ready and /metrics, with its certificate and password",
        );
        return false;
    };
    let ready = match get(authority, "/-/ready") {
        Ok((200, _)) => {
            report.ok("instance", format!("{url}: ready"));
            true
        }
        Ok((401, _)) => {
            report.unknown("instance", format!("{url}: asks for a password"), "use `curl -u`");
            return false;
        }
        Ok((503, text)) => {
            let why: String = text.lines().next().unwrap_or_default().chars().take(200).collect();
            report.fail("instance", format!("{url}: not ready ({why})"), "capture is not running: see its log");
            false
        }
        Ok((status, _)) => {
            report.fail("instance", format!("{url}: answers {status}"), "name the address of an h2watch");
            return false;
        }
        Err(error) => {
            report.fail("instance", format!("{url}: {error}"), "start it, or name its address with --url");
            return false;
        }
    };
    match get(authority, "/metrics") {
        Ok((200, text)) => return judge(&text, report) && ready,
        Ok((status, _)) => report.unknown("instance", format!("{url}/metrics answers {status}"), "see its log"),
        Err(error) => report.unknown("instance", format!("{url}/metrics: {error}"), "see its log"),
    }
    false
}

/// Gets a path. HTTP/1.0, so that the answer ends with the connection.
fn get(authority: &str, path: &str) -> Result<(u16, String), String> {
    let with_port = if authority.rsplit(']').next().unwrap_or_default().contains(':') { "" } else { ":80" };
    let mut addresses = format!("{authority}{with_port}").to_socket_addrs().map_err(|error| error.to_string())?;
    let address = addresses.next().ok_or("no address")?;
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let host: String = authority.chars().filter(|c| !c.is_control()).collect();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: text/plain\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(LARGEST).read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error| error.to_string())?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer in HTTP")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no answer in HTTP")?;
    Ok((status, body.to_owned()))
}

/// The sum of a metric's samples; `None`: it has none.
fn sum(text: &str, name: &str) -> Option<f64> {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)).filter_map(|rest| {
        // An exemplar may follow the value.
        let rest = rest.split(" # {").next()?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once("} ")?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split(' ').next()?.parse::<f64>().ok()
    });
    samples.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

/// `true`: these are the metrics of a run.
fn judge(text: &str, report: &mut Report) -> bool {
    let of = |name: &str| sum(text, name).unwrap_or(0.0);
    if sum(text, "h2watch_build_info").is_none() {
        report.unknown("instance", "its /metrics is not that of an h2watch", "name the address of an h2watch");
        return false;
    }
    super::keys::behind("instance key log", of("h2watch_keylog_behind_bytes") as u64, "wait for it", report);
    let dropped = of("h2watch_capture_dropped_packets_total");
    match dropped > 0.0 {
        true => report.warn("instance drops", format!("{dropped} packets"), "raise buffer, or narrow the filter"),
        false => report.ok("instance drops", "none"),
    }
    let (all, unread) = (of("h2watch_payload_bytes_total"), of("h2watch_unread_bytes_total"));
    let blind = if all > 0.0 { unread * 100.0 / all } else { 0.0 };
    let found = format!("{blind:.1} % of {all} payload bytes could not be read");
    match blind {
        _ if all <= 0.0 => report.unknown("instance sight", "no payload was seen", "see its interfaces and filter"),
        1.0.. => report.warn("instance sight", found, "its status page says why, by reason"),
        _ => report.ok("instance sight", found),
    }
    let lost = of("h2watch_events_dropped_total");
    if lost > 0.0 {
        report.warn("instance events", format!("{lost} were dropped"), "see the target's disk and rights");
    }
    if sum(text, "h2watch_reload_successful").is_some_and(|last| last <= 0.0) {
        report.warn("instance reload", "the last SIGHUP failed, or needs a restart", "see its log and status page");
    }
    if of("h2watch_web_config_failing") > 0.0 {
        report.warn(
            "instance web config",
            "cannot be used as it is now",
            "see its log, or `web_config_error` in its API",
        );
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::{Report, ask, judge, sum};
    use crate::doctor::Status;

    const METRICS: &str = "\
# TYPE h2watch_payload_bytes_total counter
h2watch_build_info{version=\"0.1.0\"} 1
h2watch_payload_bytes_total 1000
h2watch_unread_bytes_total 250
h2watch_capture_dropped_packets_total{interface=\"eth0\",by=\"kernel\"} 3
h2watch_capture_dropped_packets_total{interface=\"a} b\",by=\"interface\"} 4 # {event_id=\"r1\"} 1
h2watch_capture_dropped_packets_totally 100
";

    #[test]
    fn samples_are_summed() {
        assert_eq!(sum(METRICS, "h2watch_payload_bytes_total"), Some(1000.0));
        assert_eq!(sum(METRICS, "h2watch_capture_dropped_packets_total"), Some(4.0 + 3.0));
        assert_eq!(sum(METRICS, "h2watch_nothing"), None);
    }

    /// Answers like a run on a port of its own.
    fn run(metrics: &'static str) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let asked = lines.next().unwrap();
                lines.find(String::is_empty);
                let body = if asked.starts_with("GET /metrics ") { metrics } else { "ready" };
                write!(stream, "HTTP/1.0 200 OK\r\n\r\n{body}").unwrap();
            }
        });
        address
    }

    #[test]
    fn a_run_that_is_ready_is_told_from_others_who_say_so() {
        const QUIET: &str = "h2watch_build_info{version=\"0.1.0\"} 1\nh2watch_payload_bytes_total 9\n";
        let mut report = Report::default();
        assert!(ask(&format!("http://{}", run(QUIET)), &mut report));
        assert_eq!(report.result(), Status::Ok, "{}", report.text());
        assert!(!ask(&format!("http://{}", run("up 1\n")), &mut Report::default()));
    }

    #[test]
    fn a_key_log_that_is_still_being_read_is_told() {
        let mut report = Report::default();
        judge(&format!("{METRICS}h2watch_keylog_behind_bytes{{path=\"/k\"}} 352000000\n"), &mut report);
        assert!(report.text().contains("still reading the key logs, 335 MiB behind"), "{}", report.text());
        let mut report = Report::default();
        judge(&format!("{METRICS}h2watch_keylog_behind_bytes{{path=\"/k\"}} 3520\n"), &mut report);
        assert!(!report.text().contains("behind"), "a few lines that have just come");
    }

    #[test]
    fn drops_and_blindness_are_told() {
        let mut report = Report::default();
        judge(METRICS, &mut report);
        let text = report.text();
        assert!(text.contains("7 packets") && text.contains("25.0 %"), "{text}");
        assert_eq!(report.result(), Status::Warn);
        let mut stranger = Report::default();
        assert!(!judge("up 1\n", &mut stranger));
        assert_eq!(stranger.checks.len(), 1);
    }
}
