//! How servers write a key log: for `h2watch explain keylog`, and for docs/keys.md, which is made of it.

use super::page::Page;

/// How one server writes a key log.
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) also: &'static [&'static str],
    /// With what versions it was tried, or that it was not.
    pub(super) tried: &'static str,
    pub(super) how: &'static str,
    pub(super) lines: &'static str,
    pub(super) notes: &'static [&'static str],
}

pub(super) const SERVERS: &[Server] = &[
    Server {
        name: "kestrel",
        also: &["dotnet", ".net", "aspnetcore", "yarp"],
        tried: "tried: .NET 10.0.12 on Linux (Kestrel)",
        how: "Set the switch in the application's *.runtimeconfig.json, set SSLKEYLOGFILE, and restart it. Nothing is rebuilt.",
        lines: "\
{ \"runtimeOptions\": { \"configProperties\": { \"System.Net.EnableSslKeyLogging\": true } } }

SSLKEYLOGFILE=/run/app/keys.log dotnet app.dll",
        notes: &[
            "From .NET 9 on. Where you can rebuild: <RuntimeHostConfigurationOption Include=\"System.Net.EnableSslKeyLogging\" \
             Value=\"true\" /> in the project.",
            "Keys are written with each handshake, TLS 1.2 and 1.3. After somebody truncates the file the next line lands behind a \
             hole of NUL bytes, which h2watch passes over.",
            "An application that was published as a single file has its *.runtimeconfig.json inside: not tried.",
        ],
    },
    Server {
        name: "apache",
        also: &["httpd", "apache2"],
        tried: "tried: Apache 2.4.71 (Debian), OpenSSL 3.0.19",
        how: "Set SSLKEYLOGFILE in the server's environment and restart it.",
        lines: "\
# Debian: /etc/apache2/envvars
export SSLKEYLOGFILE=/run/apache2/keys.log",
        notes: &["The file is opened as root at the start, mode 600."],
    },
    Server {
        name: "nginx",
        also: &[],
        tried: "tried: nginx 1.22.1 (Debian), OpenSSL 3.0.19, with the library below preloaded. NGINX Plus: not tried",
        how: "nginx has no key log itself. NGINX Plus from 1.27.2 has the directive ssl_key_log [documented, not tried]. For others, a \
              small library that is preloaded gives each SSL_CTX a key log callback.",
        lines: "\
/* keylog.c: gcc -shared -fPIC -o libkeylog.so keylog.c -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <openssl/ssl.h>
static int fd = -1;
static void line(const SSL *s, const char *l) {
    struct iovec v[2] = {{(char *)l, strlen(l)}, {\"\\n\", 1}};
    if (fd >= 0 && writev(fd, v, 2)) {}
}
__attribute__((constructor)) static void start(void) {
    const char *p = getenv(\"SSLKEYLOGFILE\");
    if (p) fd = open(p, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}
SSL_CTX *SSL_CTX_new(const SSL_METHOD *m) {
    SSL_CTX *(*next)(const SSL_METHOD *) = dlsym(RTLD_NEXT, \"SSL_CTX_new\");
    SSL_CTX *c = next(m);
    if (c) SSL_CTX_set_keylog_callback(c, line);
    return c;
}

LD_PRELOAD=/usr/local/lib/libkeylog.so SSLKEYLOGFILE=/run/nginx/keys.log nginx",
        notes: &["Tried with TLS 1.2 and 1.3. nginx 1.22.1 speaks 1.3 only where ssl_protocols names it."],
    },
    Server {
        name: "haproxy",
        also: &[],
        tried: "tried: HAProxy 2.6.12 (Debian), TLS 1.2 and 1.3 with visitors, TLS 1.2 with servers",
        how: "Turn the secrets on, and write them by a log format; whatever takes the log makes the file of it.",
        lines: "\
global
    tune.ssl.keylog on

# connections of visitors, TLS 1.3
frontend f
    log-format \"CLIENT_HANDSHAKE_TRAFFIC_SECRET %[ssl_fc_client_random,hex] %[ssl_fc_client_handshake_traffic_secret]\\nSERVER_HANDSHAKE_TRAFFIC_SECRET %[ssl_fc_client_random,hex] %[ssl_fc_server_handshake_traffic_secret]\\nCLIENT_TRAFFIC_SECRET_0 %[ssl_fc_client_random,hex] %[ssl_fc_client_traffic_secret_0]\\nSERVER_TRAFFIC_SECRET_0 %[ssl_fc_client_random,hex] %[ssl_fc_server_traffic_secret_0]\"

# connections of visitors, TLS 1.2
    log-format \"CLIENT_RANDOM %[ssl_fc_client_random,hex] %[ssl_fc_session_key,hex]\"

# connections to servers (HAProxy as the edge), TLS 1.2
    log-format \"CLIENT_RANDOM %[ssl_bc_client_random,hex] %[ssl_bc_session_key,hex]\"
backend b
    server s 192.0.2.1:443 ssl alpn h2,http/1.1 ssl-max-ver TLSv1.2",
        notes: &[
            "A line is written when a request ends, not with the handshake: keys come late, and once for each request.",
            "2.6 has no words for the TLS 1.3 secrets of connections to servers (ssl_bc_client_traffic_secret_0 is an unknown fetch \
             method there). Later versions: not tried.",
        ],
    },
    Server {
        name: "node",
        also: &["nodejs", "node.js"],
        tried: "tried: Node.js 20.20.2 (http2 server), TLS 1.2 and 1.3, by flag and by NODE_OPTIONS",
        how: "Start it with the flag, or set NODE_OPTIONS.",
        lines: "\
node --tls-keylog=/run/app/keys.log server.js
NODE_OPTIONS=--tls-keylog=/run/app/keys.log",
        notes: &["It warns of it at the start."],
    },
    Server {
        name: "java",
        also: &["jvm", "tomcat", "jetty"],
        tried: "not tried",
        how: "Java has no key log itself. An agent (extract-tls-secrets) is published that writes one [documented, not tried].",
        lines: "java -javaagent:extract-tls-secrets-4.0.0.jar=/run/app/keys.log -jar app.jar",
        notes: &[],
    },
    Server {
        name: "go",
        also: &["golang"],
        tried: "tried: Go 1.19.8 (net/http server), TLS 1.2 and 1.3",
        how: "There is no switch from outside: the program sets tls.Config.KeyLogWriter.",
        lines: "\
keys, err := os.OpenFile(\"/run/app/keys.log\", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0600)
server := &http.Server{Addr: \":443\", TLSConfig: &tls.Config{KeyLogWriter: keys}}",
        notes: &[],
    },
];

fn write(page: &mut Page, server: &Server) {
    page.heading(&format!("{} ({})", server.name, server.tried));
    page.paragraph(server.how);
    page.verbatim(server.lines);
    server.notes.iter().for_each(|note| page.paragraph(note));
}

const GENERAL: [&str; 3] = [
    "Who reads the file can read the traffic: keep it on a tmpfs (/run), readable by the server and h2watch alone, and turn it off when \
     you are done. A connection that was opened before has no keys in it (TLS 1.2), or can still be found by search (TLS 1.3).",
    "Then: h2watch doctor --interface eth0 --keylog FILE says whether the keys match the traffic.",
    "A server that uses OpenSSL 3, or was written in Go, needs none of this where h2watch may load probes: h2watch watch --keys probe \
     takes the keys from the process (docs/ebpf.md).",
];

fn general(page: &mut Page) {
    page.heading("For all of them");
    GENERAL.iter().for_each(|text| page.paragraph(text));
}

/// The same as a document: docs/keys.md.
#[cfg(test)]
pub(super) fn document() -> String {
    let mut text = "# Key logs\n\nHow servers write their TLS keys (NSS key log format, `SSLKEYLOGFILE`). `h2watch explain keylog SERVER` says \
                    the same; both are made of `monitor/src/explain/keylog.rs`, and a test holds this page to it.\n"
        .to_owned();
    for server in SERVERS {
        text +=
            &format!("\n## {}\n\n**{}.** {}\n\n```\n{}\n```\n", server.name, server.tried, server.how, server.lines);
        server.notes.iter().for_each(|note| text += &format!("\n{note}\n"));
    }
    text += "\n## For all of them\n";
    GENERAL.iter().for_each(|paragraph| text += &format!("\n{paragraph}\n"));
    text
}

pub(super) fn all() -> String {
    let mut page = Page::default();
    page.heading("How servers write TLS keys (NSS key log format, SSLKEYLOGFILE)");
    SERVERS.iter().for_each(|server| write(&mut page, server));
    general(&mut page);
    page.finish()
}

pub(super) fn one(name: &str) -> Result<String, String> {
    let Some(server) = SERVERS.iter().find(|server| server.name == name || server.also.contains(&name)) else {
        let names: Vec<_> = SERVERS.iter().map(|server| server.name).collect();
        return Err(format!("how it writes a key log is not known here: give one of {}", names.join(", ")));
    };
    let mut page = Page::default();
    write(&mut page, server);
    general(&mut page);
    Ok(page.finish())
}
