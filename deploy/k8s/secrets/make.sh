#!/bin/sh
# Makes every secret that an installation begins with, as files and a kustomization that applies them:
#
#   deploy/k8s/secrets/make.sh DIR      then, for a trial:  kubectl apply -k DIR
#
# For production put the files' contents into the platform's store instead (docs/deploying.md says where), and remove DIR. What is there
# already is kept, so that it can be called again: all but trust.json and kustomization.yaml, which follow from the rest. In an empty DIR
# everything is new, and opens nothing that was sealed before. Needs the programs in bin/ (make build) or in $BIN.
#
# DATABASE_HOST, DATABASE_CA   the databases' host, and where pods have its authority; of PostgreSQL in the cluster when unset
# NAMESPACE                    another namespace than concord
set -eu
umask 077
dir=${1:?usage: make.sh DIR}
bin=${BIN:-$(dirname "$0")/../../../bin}
host=${DATABASE_HOST:-postgres-rw}
ca=${DATABASE_CA:-/etc/concord/database-authority/ca.crt}

mkdir -p "$dir"
programs=$(cd "$bin" && pwd)
cd "$dir"
namespace=${NAMESPACE:-$(sed -n 's/^namespace: //p' kustomization.yaml 2>/dev/null || true)}

# keyring PART makes the keyring by the part's own program. The other settings are checked and not used.
keyring() {
	if [ -e "$1/keyring" ]; then return; fi
	prefix=CONCORD_$(echo "$1" | tr a-z A-Z)
	env "${prefix}_KEYRING_FILE=$1/keyring" "${prefix}_DATABASE_URL=sqlite:unused" "${prefix}_NATS_URL=nats://127.0.0.1:4222" \
		"${prefix}_IDENTITY_KEY_FILE=unused" "${prefix}_TRUST_FILE=unused" "${prefix}_INSECURE=true" \
		"${prefix}_PEERS=auth=127.0.0.1:1,sync=127.0.0.1:1" ${2:+"${prefix}_$2"} "$programs/concord-$1" keys create
}

# address PART makes the address of its database, with the password that is there. One that is there is kept; when it is not what was asked
# for, that is said, as the other half of it, and what somebody wrote by hand, would be lost.
address() {
	made=$(printf 'postgres://%s:%s@%s:5432/%s?sslmode=verify-full&sslrootcert=%s' \
		"$1" "$(cat "$1-database/password")" "$host" "$1" "$ca")
	if [ ! -e "$1-database/uri" ]; then
		printf %s "$made" >"$1-database/uri"
	elif [ -n "${DATABASE_HOST:-}${DATABASE_CA:-}" ] && [ "$(cat "$1-database/uri")" != "$made" ]; then
		echo "$dir/$1-database/uri is there and is another one: remove it to have it made anew" >&2
		exit 1
	fi
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
	for file in "$part"/*; do # what others gave; which setting reads which file is the overlay's to say
		case ${file##*/} in
		identity.key | keyring) ;;
		*[!-._a-zA-Z0-9]*)
			echo "$dir/$file: no Secret can have a key of this name" >&2
			exit 1
			;;
		*) files="$files ${file##*/}" ;;
		esac
	done
	resources="$resources
  - name: $part-secrets
    files: [$(echo "$files" | sed "s#[^ ]*#$part/&#g; s# #, #g")]"
	if [ "$part" = gateway ]; then continue; fi
	mkdir -p "$part-database"
	[ -e "$part-database/password" ] || head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$part-database/password"
	[ -e "$part-database/username" ] || printf %s "$part" >"$part-database/username"
	address "$part"
	files="$part-database/username, $part-database/password, $part-database/uri"
	if [ -e "$part-database/ca.crt" ]; then files="$files, $part-database/ca.crt"; fi
	resources="$resources
  - name: $part-database
    type: kubernetes.io/basic-auth
    options: {labels: {cnpg.io/reload: \"true\"}}
    files: [$files]"
done
# shellcheck disable=SC2086 # a word for each part
"$programs/concord-auth" identity trust $trust >trust.json

cat >kustomization.yaml <<END
# Made by deploy/k8s/secrets/make.sh. Belongs into no repository.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: ${namespace:-concord}
generatorOptions:
  disableNameSuffixHash: true
configMapGenerator:
  - name: concord-trust
    files: [trust.json]
secretGenerator:$resources
END
echo "made in $dir; these are all that opens what the suite seals: keep a copy where the database's backups are not"
