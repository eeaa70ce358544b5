#!/usr/bin/env bash
# Makes the certificates here anew with OpenSSL 3: what it takes, and what rustls
# refuses. Each file has what a server sends, the leaf first; ….root.pem what is
# given to the bot as an authority. No key is kept. All are for hs.example.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

SAN="subjectAltName=DNS:hs.example"

# self NAME SUBJECT KEY-OPTIONS [OPTIONS]: a certificate that signs itself.
self() {
    name=$1 subject=$2 key=$3
    shift 3
    openssl req -x509 -nodes -days 36500 -newkey $key -subj "$subject" \
        -keyout "$work/$name.key" -out "$work/$name.pem" "$@" 2>/dev/null
}

# leaf NAME ISSUER EXTENSIONS [OPTIONS]: a certificate that ISSUER signs.
leaf() {
    name=$1 issuer=$2 extensions=$3
    shift 3
    openssl req -nodes -newkey $P256 -subj "/CN=$name" \
        -keyout "$work/$name.key" -out "$work/$name.csr" 2>/dev/null
    echo "$extensions" | tr ';' '\n' >"$work/$name.ext"
    openssl x509 -req -in "$work/$name.csr" -CA "$work/$issuer.pem" -CAkey "$work/$issuer.key" \
        -days 36500 -extfile "$work/$name.ext" -out "$work/$name.pem" "$@" 2>/dev/null
}

# keep NAME CHAIN… [-- ROOT]: without a root, the first of the chain is it.
keep() {
    name=$1
    shift
    : >"$name.pem"
    root=$1
    while [ $# -gt 0 ]; do
        [ "$1" = -- ] && root=$2 && break
        cat "$work/$1.pem" >>"$name.pem"
        shift
    done
    cp "$work/$root.pem" "$name.root.pem"
}

P256="ec -pkeyopt ec_paramgen_curve:prime256v1"
CA="basicConstraints=critical,CA:TRUE"
END="basicConstraints=CA:FALSE"

# The one-liner of many guides: it signs itself, and says that it is an authority.
self one "/CN=hs.example" "$P256" -addext "$SAN"
keep one-liner one
self cn "/CN=hs.example" "$P256" -addext "$END"
keep name-in-cn-alone cn
self critical "/CN=hs.example" "$P256" -addext "$SAN" -addext "$END" -addext "1.2.3.4=critical,DER:0500"
keep critical-extension critical
openssl req -nodes -newkey $P256 -subj "/CN=hs.example" -keyout "$work/v1.key" -out "$work/v1.csr" 2>/dev/null
openssl x509 -req -in "$work/v1.csr" -signkey "$work/v1.key" -days 36500 -out "$work/v1.pem" 2>/dev/null
keep version-1 v1

self root "/O=Company/CN=Company Root" "$P256" -addext "$CA"
self same "/O=Company/CN=Company Root" "$P256" -addext "$CA"
leaf issued root "$SAN;$END"
keep issued issued -- root
keep other-key issued -- same
leaf other root "subjectAltName=DNS:other.example,DNS:*.example.org,IP:10.0.0.1;$END"
keep other-names other -- root
leaf purpose root "$SAN;$END;extendedKeyUsage=clientAuth"
keep purpose purpose -- root
leaf intermediate root "basicConstraints=critical,CA:TRUE" -days 365
leaf below intermediate "$SAN;$END"
keep expired-intermediate below intermediate -- root
keep missing-intermediate below -- root
leaf none root "$END"
leaf belownone none "$SAN;$END"
keep intermediate-that-is-none belownone none -- root
keep leaf-as-root issued

self constrained "/CN=Constrained Root" "$P256" -addext "$CA" -addext "nameConstraints=critical,permitted;DNS:other.example"
leaf outside constrained "$SAN;$END"
keep name-constraints outside -- constrained
self constrainedone "/CN=hs.example" "$P256" -addext "$SAN" -addext "nameConstraints=critical,permitted;DNS:other.example"
keep one-liner-constrained constrainedone

self p521 "/CN=P-521 Root" "ec -pkeyopt ec_paramgen_curve:secp521r1" -sha512 -addext "$CA"
leaf byp521 p521 "$SAN;$END" -sha512
keep signed-by-p-521 byp521 -- p521
self rsa1024 "/CN=RSA Root" rsa:1024 -addext "$CA"
leaf byrsa1024 rsa1024 "$SAN;$END"
keep signed-by-rsa-1024 byrsa1024 -- rsa1024
self rsa2048 "/CN=RSA Root" rsa:2048 -addext "$CA"
leaf bysha1 rsa2048 "$SAN;$END" -sha1
keep signed-by-sha-1 bysha1 -- rsa2048
