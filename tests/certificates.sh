# shellcheck shell=bash
# Sourced by tests/postgres and tests/mysql: a CA and a server's certificate for localhost, in the current folder.
certificates() {
  # Not the system's openssl.cnf: what it adds differs, and rustls refuses an extension that is there twice.
  cat >tls.cnf <<'END'
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
END
  local new=(-config tls.cnf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
  openssl req "${new[@]}" -x509 -days 365 -extensions ca -subj "/CN=Landfall test CA" -keyout ca.key -out ca.crt
  openssl req "${new[@]}" -subj /CN=localhost -keyout server.key -out server.csr
  openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 \
    -extfile tls.cnf -extensions server -out server.crt
  chmod 600 ca.key server.key
}
