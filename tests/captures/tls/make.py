#!/usr/bin/env python3
"""Makes the captures of this folder anew: OpenSSL talking to itself over loopback, with keys in a Decryption Secrets Block.

Needs root (tcpdump), openssl 3.0 or later, tcpdump and editcap. `make.py [NAME...]`.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 4433
REQUEST = "GET /{name} HTTP/1.1\r\nHost: tls.test\r\nUser-Agent: matrix\r\n\r\n"
RESPONSE = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: matrix\r\n\r\nhello"
NO_EMS = "Options = -ExtendedMasterSecret\n"


class Lab:
    def __init__(self, folder):
        self.folder = folder
        for key, new in ("ec", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]), ("rsa", ["rsa:2048"]):
            self.run(["openssl", "req", "-x509", "-newkey", *new, "-nodes", "-days", "3650", "-subj", "/CN=tls.test",
                      "-keyout", f"{key}.key", "-out", f"{key}.crt"])

    def run(self, command):
        subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self, command, conf, **streams):
        with open(os.path.join(self.folder, "openssl.cnf"), "w") as file:
            file.write("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nCipherString = ALL:@SECLEVEL=0\n" + conf)
        env = dict(os.environ, OPENSSL_CONF="openssl.cnf")
        return subprocess.Popen(command, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, env=env)

    def server(self, options, conf="", key="ec"):
        server = self.start(["openssl", "s_server", "-accept", f"127.0.0.1:{PORT}", "-cert", f"{key}.crt", "-key", f"{key}.key",
                             *options.split()], conf)
        os.set_blocking(server.stdout.fileno(), False)
        time.sleep(0.25)
        return server

    def client(self, options, conf=""):
        client = self.start(["openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", "-servername", "tls.test", "-keylogfile",
                             "keys.log", *options.split()], conf)
        os.set_blocking(client.stdout.fileno(), False)
        time.sleep(0.25)
        return client


def say(process, text, wait=0.2):
    process.stdin.write(text.encode())
    process.stdin.flush()
    time.sleep(wait)


def end(client):
    client.stdin.close()
    time.sleep(0.2)
    client.terminate()
    out = client.stdout.read() or b""
    client.wait()
    return out.decode(errors="replace")


def exchange(client, server, name):
    say(client, REQUEST.format(name=name))
    say(server, RESPONSE)


def plain(name, lab, server="", client="", conf="", key="ec", connections=1, script=None):
    """Connections one after another, the later ones resuming the first."""
    process = lab.server(server, conf, key)
    for number in range(connections):
        options = client
        if connections > 1:
            options += " -sess_out session.pem" if number == 0 else " -sess_in session.pem"
        one = lab.client(options, conf)
        script(one, process, name) if script else exchange(one, process, name)
        end(one)
    end(process)


def tls12(cipher, **more):
    def make(name, lab):
        options = f"-tls1_2 -cipher {cipher}:@SECLEVEL=0 "
        plain(name, lab, **{**more, "server": options + more.get("server", ""), "client": options + more.get("client", "")})
    return make


def tls13(cipher="TLS_AES_128_GCM_SHA256", **more):
    def make(name, lab):
        options = f"-tls1_3 -ciphersuites {cipher} "
        plain(name, lab, **{**more, "server": options + more.get("server", ""), "client": options + more.get("client", "")})
    return make


def commands(*lines):
    """An exchange, then these commands of s_client (c) and s_server (s), then another exchange."""
    def script(client, server, name):
        exchange(client, server, name)
        for side, letter in lines:
            say(client if side == "c" else server, letter + "\n", 0.3)
        exchange(client, server, name)
    return script


def early(accepted):
    def make(name, lab):
        suite = "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256"
        with open(os.path.join(lab.folder, "early.txt"), "w", newline="") as file:
            file.write(REQUEST.format(name=name + "-early"))
        server = lab.server(f"{suite} -early_data -no_anti_replay")
        client = lab.client(f"{suite} -sess_out session.pem")
        exchange(client, server, name)
        end(client)
        if accepted != "yes":
            end(server)
            # A server that does not know the ticket, and one that asks for another key share.
            server = lab.server(f"{suite} -early_data" + (" -groups P-384" if accepted == "retry" else ""))
        client = lab.client(f"{suite} -sess_in session.pem -early_data early.txt")
        if accepted == "yes":
            say(server, RESPONSE)
        exchange(client, server, name)
        end(client)
        end(server)
    return make


def session_log(make):
    """The key log in its `RSA Session-ID:` form, by the session id of the capture's ServerHello."""
    def wrapped(name, lab):
        make(name, lab)
        return "session"
    wrapped.form = "session"
    return wrapped


def premaster_log(make):
    wrapped = lambda name, lab: make(name, lab)
    wrapped.form = "premaster"
    return wrapped


RSA = {"key": "rsa"}
MATRIX = {
    "tls12-ecdhe-cbc-sha1": tls12("ECDHE-ECDSA-AES128-SHA"),
    "tls12-ecdhe-cbc-sha1-mac-then-encrypt": tls12("ECDHE-ECDSA-AES256-SHA", client="-no_etm"),
    "tls12-ecdhe-cbc-sha256": tls12("ECDHE-ECDSA-AES128-SHA256"),
    "tls12-ecdhe-cbc-sha256-mac-then-encrypt": tls12("ECDHE-ECDSA-AES128-SHA256", client="-no_etm"),
    "tls12-ecdhe-cbc-sha384": tls12("ECDHE-ECDSA-AES256-SHA384"),
    "tls12-ecdhe-cbc-sha384-mac-then-encrypt": tls12("ECDHE-ECDSA-AES256-SHA384", client="-no_etm"),
    "tls12-ecdhe-cbc-sha256-no-ems": tls12("ECDHE-ECDSA-AES128-SHA256", conf=NO_EMS),
    "tls12-rsa-cbc-sha256-no-ems-mac-then-encrypt": tls12("AES128-SHA256", conf=NO_EMS, client="-no_etm", **RSA),
    "tls12-ecdhe-aes128-gcm": tls12("ECDHE-ECDSA-AES128-GCM-SHA256"),
    "tls12-ecdhe-aes256-gcm-no-ems": tls12("ECDHE-ECDSA-AES256-GCM-SHA384", conf=NO_EMS),
    "tls12-ecdhe-aes128-ccm": tls12("ECDHE-ECDSA-AES128-CCM"),
    "tls12-ecdhe-aes256-ccm8": tls12("ECDHE-ECDSA-AES256-CCM8"),
    "tls12-ecdhe-chacha20": tls12("ECDHE-ECDSA-CHACHA20-POLY1305"),
    "tls12-dhe-aes128-gcm": tls12("DHE-RSA-AES128-GCM-SHA256", server="-dhparam dh.pem", **RSA),
    "tls12-resumed-by-id": tls12("ECDHE-ECDSA-AES128-GCM-SHA256", server="-no_ticket", client="-no_ticket", connections=2),
    "tls12-resumed-by-ticket": tls12("ECDHE-ECDSA-AES256-GCM-SHA384", connections=2),
    "tls12-renegotiated-by-client": tls12("ECDHE-ECDSA-AES128-GCM-SHA256", server="-client_renegotiation",
                                          script=commands(("c", "R"))),
    "tls12-renegotiated-by-server": tls12("ECDHE-ECDSA-AES128-SHA256", script=commands(("s", "r"), ("s", "r"))),
    "tls12-renegotiated-for-certificate": tls12("ECDHE-ECDSA-CHACHA20-POLY1305", client="-cert ec.crt -key ec.key",
                                                script=commands(("s", "R"))),
    "tls12-client-certificate": tls12("ECDHE-ECDSA-AES128-GCM-SHA256", server="-Verify 1", client="-cert ec.crt -key ec.key"),
    "tls12-split-handshake": tls12("ECDHE-RSA-AES128-GCM-SHA256", client="-maxfraglen 512", **RSA),
    "tls12-key-log-session-id": session_log(tls12("AES128-GCM-SHA256", server="-no_ticket", client="-no_ticket", **RSA)),
    "tls12-key-log-premaster": premaster_log(tls12("AES256-GCM-SHA384", **RSA)),
    "tls12-key-log-premaster-no-ems": premaster_log(tls12("AES128-SHA", conf=NO_EMS, **RSA)),
    "tls13-aes256-gcm": tls13("TLS_AES_256_GCM_SHA384"),
    "tls13-chacha20": tls13("TLS_CHACHA20_POLY1305_SHA256"),
    "tls13-ccm": tls13("TLS_AES_128_CCM_SHA256"),
    "tls13-ccm8": tls13("TLS_AES_128_CCM_8_SHA256"),
    "tls13-hello-retry": tls13(server="-groups P-384"),
    "tls13-hello-retry-no-compat": tls13(server="-groups P-384 -no_middlebox", client="-no_middlebox"),
    "tls13-resumed": tls13("TLS_AES_256_GCM_SHA384", connections=2),
    "tls13-psk-external": tls13(server="-psk 00112233445566778899aabbccddeeff -nocert", client="-psk 00112233445566778899aabbccddeeff"),
    "tls13-early-data": early("yes"),
    "tls13-early-data-refused": early("no"),
    "tls13-early-data-refused-by-retry": early("retry"),
    "tls13-key-update": tls13("TLS_CHACHA20_POLY1305_SHA256", script=commands(("c", "k"), ("s", "k"), ("c", "K"), ("s", "K"))),
    "tls13-client-certificate": tls13(server="-Verify 1", client="-cert ec.crt -key ec.key"),
    "tls13-certificate-later": tls13(server="-verify 1", client="-enable_pha -cert ec.crt -key ec.key", script=commands(("s", "c"))),
    "tls13-padded": tls13(server="-record_padding 96", client="-record_padding 64", script=commands(("c", "k"), ("s", "k"))),
    "tls13-split-handshake": tls13(client="-maxfraglen 512", **RSA),
    "tls13-no-tickets": tls13(server="-num_tickets 0"),
    "tls13-many-tickets": tls13(server="-num_tickets 6"),
}


def key_log(form, folder):
    with open(os.path.join(folder, "keys.log")) as file:
        lines = [line for line in file if not line.startswith("#") and "EXPORTER" not in line]
    if form == "premaster":
        return [line for line in lines if line.startswith("RSA ")]
    if form == "session":
        shown = subprocess.run(["tshark", "-r", "raw.pcap", "-Y", "tls.handshake.type == 2", "-T", "fields", "-e",
                                "tls.handshake.session_id"], cwd=folder, check=True, capture_output=True, text=True).stdout
        master = next(line.split()[2] for line in lines if line.startswith("CLIENT_RANDOM"))
        return [f"RSA Session-ID:{shown.split()[0].replace(':', '')} Master-Key:{master}\n"]
    return [line for line in lines if not line.startswith("RSA ")]


def main():
    wanted = sys.argv[1:] or MATRIX
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(folder)
        lab.run(["sh", "-c", "openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048 -out dh.pem"])
        for name in wanted:
            if os.path.exists(os.path.join(folder, "keys.log")):
                os.remove(os.path.join(folder, "keys.log"))
            dump = subprocess.Popen(["tcpdump", "-i", "lo", "-U", "-w", "raw.pcap", f"tcp port {PORT}"], cwd=folder,
                                    stderr=subprocess.PIPE)
            dump.stderr.readline()
            time.sleep(0.2)
            MATRIX[name](name, lab)
            time.sleep(0.2)
            dump.terminate()
            dump.wait()
            with open(os.path.join(folder, "used.log"), "w") as file:
                file.writelines(key_log(getattr(MATRIX[name], "form", None), folder))
            to = os.path.join(HERE, name + ".pcapng")
            lab.run(["editcap", "--inject-secrets", "tls,used.log", "raw.pcap", to])
            print(name, os.path.getsize(to), flush=True)


main()
