#!/bin/sh
# Makes every secret that an installation begins with, as files and a kustomization that applies them:
#
#   deploy/k8s/secrets/make.sh DIR      then, for a trial:  kubectl apply -k DIR
#
# For production put the files' contents into the platform's store instead (docs/deploying.md says where), and remove DIR. What is there
# already is kept, so that it can be called again. Needs the programs in bin/ (make build) or in $BIN.
set -eu
umask 077
dir=${1:?usage: make.sh DIR}
bin=${BIN:-$(dirname "$0")/../../../bin}
host=${DATABASE_HOST:-postgres-rw}
ca=${DATABASE_CA:-/etc/concord/database-authority/ca.crt}

mkdir -p "$dir"
programs=$(cd "$bin" && pwd)
cd "$dir"

# keyring PART makes the keyring by the part's own program. The other settings are checked and not used.
keyring() {
	if [ -e "$1/keyring" ]; then return; fi
	prefix=CONCORD_$(echo "$1" | tr a-z A-Z)
	env "${prefix}_KEYRING_FILE=$1/keyring" "${prefix}_DATABASE_URL=sqlite:unused" "${prefix}_NATS_URL=nats://127.0.0.1:4222" \
		"${prefix}_IDENTITY_KEY_FILE=unused" "${prefix}_TRUST_FILE=unused" "${prefix}_INSECURE=true" \
		"${prefix}_PEERS=auth=127.0.0.1:1,sync=127.0.0.1:1" ${2:+"${prefix}_$2"} "$programs/concord-$1" keys create
}

trust=
resources=
for part in auth connector sync documents gateway; do
	mkdir -p "$part"
	[ -e "$part/identity.key" ] || "$programs/concord-$part" identity create "$part/identity.key" >/dev/null
	trust="$trust $part=$part/identity.key"
	files=identity.key
	case $part in
	auth | connector)
		keyring "$part"
		files="$files keyring"
		;;
	documents)
		keyring "$part" BLOB_DIR=unused
		files="$files keyring"
		;;
	esac
	for extra in sms_token mail_password xero_client_secret xero_webhook_key s3_access_key_id s3_secret_access_key nats.creds; do
		if [ -e "$part/$extra" ]; then files="$files $extra"; fi
	done
	resources="$resources
  - name: $part-secrets
    files: [$(echo "$files" | sed "s#[^ ]*#$part/&#g; s# #, #g")]"
	if [ "$part" = gateway ]; then continue; fi
	mkdir -p "$part-database"
	[ -e "$part-database/password" ] || head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$part-database/password"
	printf %s "$part" >"$part-database/username"
	printf 'postgres://%s:%s@%s:5432/%s?sslmode=verify-full&sslrootcert=%s' \
		"$part" "$(cat "$part-database/password")" "$host" "$part" "$ca" >"$part-database/uri"
	resources="$resources
  - name: $part-database
    type: kubernetes.io/basic-auth
    options: {labels: {cnpg.io/reload: \"true\"}}
    files: [$part-database/username, $part-database/password, $part-database/uri]"
done
# shellcheck disable=SC2086 # a word for each part
"$programs/concord-auth" identity trust $trust >trust.json

cat >kustomization.yaml <<END
# Made by deploy/k8s/secrets/make.sh. Belongs into no repository.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: concord
generatorOptions:
  disableNameSuffixHash: true
configMapGenerator:
  - name: concord-trust
    files: [trust.json]
secretGenerator:$resources
END
echo "made in $dir; these are all that opens what the suite seals: keep a copy where the database's backups are not"
