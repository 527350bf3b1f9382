#!/usr/bin/env bash
# Makes the stores of this directory anew with keytool (17) and openssl (3.0). Every password is "changeit", but that of
# unicode.jks, which is "pässwörd€".
set -euo pipefail
cd "$(dirname "$0")"
rm -f ./*.pem ./*.jks ./*.p12
days=36500
quiet() { "$@" >/dev/null 2>&1 || { echo "failed: $*" >&2; exit 1; }; }
ktool() { quiet keytool "$@" -storepass changeit -noprompt; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# An authority, one below it, and a server certificate for each kind of key.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$scratch/root.key" -out trust.pem \
	-days $days -subj "/O=Example/CN=Root" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$scratch/middle.key" -out "$scratch/middle.csr" \
	-subj "/O=Example/CN=Middle" 2>/dev/null
openssl x509 -req -in "$scratch/middle.csr" -CA trust.pem -CAkey "$scratch/root.key" -CAserial "$scratch/serial" -CAcreateserial -days $days \
	-extfile <(printf 'basicConstraints=critical,CA:true\n') -out "$scratch/middle.pem" 2>/dev/null
for kind in ec rsa ed25519; do
	case $kind in
	ec) new=(-newkey ec -pkeyopt ec_paramgen_curve:P-256) ;;
	rsa) new=(-newkey rsa:2048) ;;
	ed25519) new=(-newkey ed25519) ;;
	esac
	openssl req "${new[@]}" -nodes -keyout "$scratch/$kind.key" -out "$scratch/$kind.csr" -subj "/O=Example/CN=$kind" 2>/dev/null
	openssl x509 -req -in "$scratch/$kind.csr" -CA "$scratch/middle.pem" -CAkey "$scratch/middle.key" -CAserial "$scratch/serial" -CAcreateserial \
		-days $days -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n') -out "$scratch/$kind.pem" 2>/dev/null
	cat "$scratch/$kind.pem" "$scratch/middle.pem" >"$scratch/$kind.chain"
	cat "$scratch/$kind.key" "$scratch/$kind.chain" >"$kind.pem"
done

# PEM in other forms; the key may come last and the chain in any order.
cat "$scratch/middle.pem" "$scratch/ec.pem" "$scratch/ec.key" >disordered.pem
{ openssl ec -in "$scratch/ec.key" 2>/dev/null; cat "$scratch/ec.chain"; } >sec1.pem
{ openssl rsa -traditional -in "$scratch/rsa.key" 2>/dev/null; cat "$scratch/rsa.chain"; } >pkcs1.pem
encrypted() { # encrypted FILE OPTIONS...
	{ openssl pkcs8 -topk8 -in "$scratch/ec.key" -passout pass:changeit "${@:2}"; cat "$scratch/ec.chain"; } >"$1"
}
encrypted encrypted.pem
encrypted encrypted-aes128-sha512.pem -v2 aes128 -v2prf hmacWithSHA512
encrypted encrypted-3des.pem -v2 des3 -v2prf hmacWithSHA1
encrypted encrypted-scrypt.pem -scrypt
encrypted encrypted-pbes1.pem -v1 PBE-SHA1-3DES
{ openssl ec -in "$scratch/ec.key" -aes128 -passout pass:changeit 2>/dev/null; cat "$scratch/ec.chain"; } >encrypted-old.pem

# PKCS #12 by openssl, with the chain and without the mark that Java wants of trusted certificates.
pkcs12() { openssl pkcs12 -export -passout pass:changeit "$@"; }
pkcs12 -in "$scratch/ec.chain" -inkey "$scratch/ec.key" -name ec -out openssl.p12
pkcs12 -in "$scratch/rsa.chain" -inkey "$scratch/rsa.key" -name rsa -legacy -out openssl-legacy.p12
pkcs12 -nokeys -in trust.pem -out unmarked.p12

# By keytool: JKS, PKCS #12, and PKCS #12 in a file that is called .jks, as keytool writes it since Java 9.
ktool -importkeystore -srckeystore openssl.p12 -srcstoretype PKCS12 -srcstorepass changeit -destkeystore ec.jks -deststoretype JKS
ktool -importkeystore -srckeystore openssl-legacy.p12 -srcstoretype PKCS12 -srcstorepass changeit -destkeystore both.jks -deststoretype JKS
ktool -importkeystore -srckeystore ec.jks -srcstorepass changeit -destkeystore both.jks -deststoretype JKS
ktool -importkeystore -srckeystore ec.jks -srcstorepass changeit -destkeystore keytool.p12 -deststoretype PKCS12
cp keytool.p12 pkcs12.jks
ktool -importcert -file trust.pem -alias root -keystore trust.jks -storetype JKS
ktool -importcert -file "$scratch/middle.pem" -alias middle -keystore trust.jks -storetype JKS
ktool -importcert -file trust.pem -alias root -keystore trust.p12 -storetype PKCS12
cp ec.jks mixed.jks
ktool -importcert -file trust.pem -alias root -keystore mixed.jks -storetype JKS
cp keytool.p12 mixed.p12
ktool -importcert -file trust.pem -alias root -keystore mixed.p12 -storetype PKCS12
cp ec.jks other-password.jks
ktool -keypasswd -alias ec -keypass changeit -new different -keystore other-password.jks -storetype JKS
LC_ALL=C.UTF-8 quiet keytool -J-Dfile.encoding=UTF-8 -importcert -file trust.pem -alias root -keystore unicode.jks -storetype JKS \
	-storepass 'pässwörd€' -noprompt
