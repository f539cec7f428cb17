//! Servers as they are probed: scripts that end in `exec`, for a folder with `cert.pem`, `key.pem` and `index.html`, and the port `$PORT`.

/// Apache. `more`: directives of the server.
pub(crate) fn apache(more: &str) -> String {
    format!(
        "cat > httpd.conf <<END
ServerRoot \"$PWD\"
ServerName localhost
PidFile \"$PWD/pid\"
ErrorLog \"$PWD/error.log\"
Listen 127.0.0.1:$PORT
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
DocumentRoot \"$PWD\"
Protocols h2 http/1.1
SSLEngine on
SSLCertificateFile \"$PWD/cert.pem\"
SSLCertificateKeyFile \"$PWD/key.pem\"
{more}
END
chmod 755 .; exec apache2 -DFOREGROUND -f \"$PWD/httpd.conf\""
    )
}

/// What makes Apache refuse `/secure` by HTTP/2: there it cannot ask for a certificate in the middle of a connection.
pub(crate) const SECURE: &str = "<Location /secure>\nSSLVerifyClient require\n</Location>";

/// A server with its own copy of OpenSSL, which nothing else runs.
pub(crate) fn fresh(server: &str) -> String {
    format!(
        "mkdir own; for name in libcrypto.so.3 libssl.so.3; do
  for folder in /usr/lib/x86_64-linux-gnu /lib/x86_64-linux-gnu; do
    if [ -e $folder/$name ]; then cp -L $folder/$name own/$name; fi
  done
done
export LD_LIBRARY_PATH=$PWD/own; {server}"
    )
}

/// nginx. `more`: directives of the server.
pub(crate) fn nginx(more: &str) -> String {
    format!(
        "cat > nginx.conf <<END
daemon off;
user root;
pid $PWD/pid;
error_log $PWD/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path $PWD/t1; proxy_temp_path $PWD/t2; fastcgi_temp_path $PWD/t3; uwsgi_temp_path $PWD/t4; scgi_temp_path $PWD/t5;
  ssl_session_cache shared:sessions:1m;
  server {{
    listen 127.0.0.1:$PORT ssl http2;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate $PWD/cert.pem;
    ssl_certificate_key $PWD/key.pem;
    root $PWD;
    {more}
  }}
}}
END
exec nginx -e $PWD/error.log -p $PWD -c $PWD/nginx.conf"
    )
}

/// HAProxy, which resets `/refused`. `more`: options of the port.
pub(crate) fn haproxy(more: &str) -> String {
    format!(
        "cat key.pem cert.pem > both.pem; cat > haproxy.cfg <<END
defaults
  mode http
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend probed
  bind 127.0.0.1:$PORT ssl crt $PWD/both.pem alpn h2,http/1.1 {more}
  http-request reject if {{ path /refused }}
  http-request return status 200 content-type text/plain string hello
END
exec haproxy -db -f haproxy.cfg"
    )
}

/// OpenSSL's own, which ends when its standard input does.
pub(crate) fn openssl(more: &str) -> String {
    format!(
        "mkfifo input; exec 3<>input; exec openssl s_server -accept 127.0.0.1:$PORT -key key.pem -cert cert.pem {more} <&3"
    )
}

/// Go's. `flags`: of its build.
pub(crate) fn go(flags: &str) -> String {
    format!(
        "cat > main.go <<'END'
package main
import (\"net/http\"; \"os\")
func main() {{
  http.HandleFunc(\"/\", func(w http.ResponseWriter, r *http.Request) {{ w.Write([]byte(\"hello\")) }})
  http.HandleFunc(\"/abort\", func(w http.ResponseWriter, r *http.Request) {{ panic(http.ErrAbortHandler) }})
  http.ListenAndServeTLS(\"127.0.0.1:\" + os.Getenv(\"PORT\"), \"cert.pem\", \"key.pem\", nil)
}}
END
GOFLAGS=-mod=mod GO111MODULE=off GOCACHE=${{GOCACHE:-/tmp/h2watch-go-cache}} go build {flags} -o server main.go && exec ./server"
    )
}

/// nghttpd.
pub(crate) const NGHTTPD: &str = "exec nghttpd -d . --address=127.0.0.1 $PORT key.pem cert.pem";

/// Node.js, which has OpenSSL inside.
pub(crate) const NODE: &str = "cat > server.js <<'END'
const http2 = require('http2'), fs = require('fs');
const server = http2.createSecureServer({ key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem') });
server.on('stream', (stream, headers) => {
  // Node.js 16 tells the server of its own reset.
  stream.on('error', () => {});
  if (headers[':path'] === '/refused') { stream.close(13); return; }
  stream.respond({ ':status': 200 }); stream.end('hello');
});
server.listen(+process.env.PORT, '127.0.0.1');
END
exec node server.js";
