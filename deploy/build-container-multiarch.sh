#!/usr/bin/env bash
# Builds the image for x86_64 and arm64 and pushes both as one manifest list.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=openclaw-k8s-toggle-operator

help() {
    cat <<TEXT
deploy/build-container-multiarch.sh [onlylocal | login] [--dry-run]

  (no mode)   log in if REGISTRY_USER is set, build, push, print the digest
  onlylocal   build, and push nothing
  login       log in to the registry, and nothing else
  --dry-run   print what would be run, ready to be pasted, and run nothing

Environment:
  IMAGE              repository; ghcr.io/vroomfondel/$name
  VERSION            first tag; the version in Cargo.toml. The other is "latest",
                     unless this one has a "-", as what comes before a release
  PLATFORMS          "amd64 arm64", or one of them
  CONTAINER_TOOL     buildah, podman or docker; the first of them that works
  REGISTRY_USER      whom to log in as; unset, who is logged in already
  REGISTRY_PASSWORD  their password or token; unset, a line of standard input
  TLS_VERIFY         false: a registry without a certificate (buildah, podman)
  SKIP_BUILD         1: take the binaries that are there, whatever their age
  SOURCE_DATE_EPOCH  the image's time, in seconds; that of the last commit

Binaries that are missing, or older than the sources, are built by make release.
TEXT
}

fail() {
    echo "$1" >&2
    exit 1
}

mode=push
dry_run=
for argument in "$@"; do
    case "$argument" in
    onlylocal | login) mode=$argument ;;
    --dry-run) dry_run=1 ;;
    -h | --help)
        help
        exit
        ;;
    *)
        echo "$argument is no mode and no option: --help tells what there is" >&2
        exit 2
        ;;
    esac
done

image=${IMAGE:-ghcr.io/vroomfondel/$name}
version=${VERSION:-$(sed -n '/^\[package\]/,/^$/s/^version = "\(.*\)"$/\1/p' Cargo.toml)}
read -ra platforms <<<"${PLATFORMS:-amd64 arm64}"
target=${CARGO_TARGET_DIR:-target}
context=$target/image
# What comes before a release is not what people get who name none.
tags=("$version")
[[ "$version" == *-* ]] || tags+=(latest)
password=${REGISTRY_PASSWORD:-}
# Neither the compiler nor the container tool is to find it in its environment.
unset REGISTRY_PASSWORD

case "${image##*/}" in
*:* | *@*) fail "IMAGE is a repository, and $image has a tag: set that as VERSION" ;;
esac
[[ "$version" =~ ^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$ ]] || fail "VERSION cannot be a tag: $version"
[ "${#platforms[@]}" -gt 0 ] || fail "PLATFORMS names none: amd64, arm64 or both"

triple() {
    case "$1" in
    amd64) echo x86_64-unknown-linux-musl ;;
    arm64) echo aarch64-unknown-linux-musl ;;
    *) fail "PLATFORMS is amd64, arm64 or both, not $1" ;;
    esac
}

binary() {
    local triple
    triple=$(triple "$1") || exit
    echo "$target/$triple/release/$name"
}

works() {
    command -v "$1" >/dev/null && "$1" info >/dev/null 2>&1
}

choose_tool() {
    local one
    if [ -n "${CONTAINER_TOOL:-}" ]; then
        case "$CONTAINER_TOOL" in
        buildah | podman | docker) ;;
        *) fail "CONTAINER_TOOL is buildah, podman or docker, not $CONTAINER_TOOL" ;;
        esac
        works "$CONTAINER_TOOL" ||
            fail "$CONTAINER_TOOL does not work here: see what \`$CONTAINER_TOOL info\` says"
        echo "$CONTAINER_TOOL"
        return
    fi
    for one in buildah podman docker; do
        if works "$one"; then
            echo "$one"
            return
        fi
    done
    fail "missing: a container builder, one of buildah, podman and docker with its daemon: apt-get install buildah."
}

quoted() {
    local words
    printf -v words '%q ' "$@"
    echo "${words% }"
}

# Shown in a dry run, and shown and run in any other.
run() {
    if [ -n "$dry_run" ]; then
        quoted "$@"
    else
        echo "+ $(quoted "$@")" >&2
        "$@"
    fi
}

registry() {
    case "$image" in
    localhost/* | *.*/* | *:*/*) echo "${image%%/*}" ;;
    *) echo docker.io ;;
    esac
}

log_in() {
    local command=("$tool" login)
    if [ -z "${REGISTRY_USER:-}" ]; then
        [ -n "$dry_run" ] || [ -t 0 ] ||
            fail "REGISTRY_USER is not set: say whom to log in as, or log in at a terminal"
        run "${command[@]}" "${tls[@]}" "$(registry)"
        return
    fi
    command+=(--username "$REGISTRY_USER" --password-stdin "${tls[@]}" "$(registry)")
    if [ -n "$dry_run" ]; then
        # shellcheck disable=SC2016 # It is whoever pastes this that has the password.
        echo 'printf %s "$REGISTRY_PASSWORD" |' "$(quoted "${command[@]}")"
        return
    fi
    if [ -z "$password" ]; then
        [ ! -t 0 ] || fail "REGISTRY_PASSWORD is not set: set it, or pass the password on standard input"
        IFS= read -r password || [ -n "$password" ] || fail "REGISTRY_PASSWORD is not set, and standard input is empty"
    fi
    run "${command[@]}" <<<"$password"
}

# Whether a binary has to be built, and why.
out_of_date() {
    local file=$1 newer
    if [ ! -f "$file" ]; then
        echo "there is no $file"
        return
    fi
    newer=$(find src Cargo.toml Cargo.lock rust-toolchain.toml .cargo Makefile -type f -newer "$file" -print -quit)
    [ -z "$newer" ] || echo "$newer is newer than $file"
}

binaries() {
    local platform file why machine
    for platform in "${platforms[@]}"; do
        file=$(binary "$platform")
        if [ "${SKIP_BUILD:-}" = 1 ]; then
            [ -n "$dry_run" ] || [ -f "$file" ] || fail "there is no $file: make release builds it"
            continue
        fi
        why=$(out_of_date "$file")
        if [ -n "$why" ]; then
            echo "$why: building (SKIP_BUILD=1 would not)" >&2
            run make --no-print-directory release
            break
        fi
    done
    [ -z "$dry_run" ] || return 0
    for platform in "${platforms[@]}"; do
        file=$(binary "$platform")
        # What an ELF file says it is for, the kernel goes by: 62 and 183 are their numbers.
        machine=$(od -An -tu2 -j18 -N2 "$file" | tr -d ' ')
        case "$platform $machine" in
        "amd64 62" | "arm64 183") ;;
        *) fail "$file is not for $platform: build it anew with make release" ;;
        esac
    done
}

build_each() {
    local platform file arguments
    run mkdir -p "$context"
    run cp Dockerfile.scratch .dockerignore "$context/"
    for platform in "${platforms[@]}"; do
        file=target/$(triple "$platform")/release/$name
        # A copy, since builders want everything below one folder, and the time
        # of the file is part of the image.
        run install -D -m 0755 "$(binary "$platform")" "$context/$file"
        run touch -d "@$SOURCE_DATE_EPOCH" "$context/$file"
        arguments=(
            --platform "linux/$platform"
            --build-arg "TARGETARCH=$platform"
            --build-arg "VERSION=$version"
            --build-arg "REVISION=$revision"
            --build-arg "CREATED=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)"
            --tag "$image:$version-$platform"
            --file "$context/Dockerfile.scratch"
        )
        if [ "$tool" = docker ]; then
            run env "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" \
                docker buildx build --provenance=false --load "${arguments[@]}" "$context"
            continue
        fi
        # Nothing but the sources decides what the image is: not the time, not
        # the builder's version. One layer, for there is one file.
        if [ "$tool" = podman ]; then arguments+=(--squash-all); else arguments+=(--squash); fi
        run "$tool" build --quiet --identity-label=false --timestamp "$SOURCE_DATE_EPOCH" \
            "${arguments[@]}" "$context"
    done
}

# The names without a platform: a list where the tool has local ones.
name_locally() {
    local platform tag members=() own=${platforms[0]}
    for platform in "${platforms[@]}"; do
        members+=("containers-storage:$image:$version-$platform")
        case "$platform $(uname -m)" in "amd64 x86_64" | "arm64 aarch64") own=$platform ;; esac
    done
    for tag in "${tags[@]}"; do
        if [ "$tool" = docker ]; then
            run docker tag "$image:$version-$own" "$image:$tag"
            continue
        fi
        # A list of this name from before would be added to, an image be in the way.
        if [ -n "$dry_run" ]; then
            echo "$(quoted "$tool" manifest rm "$image:$tag") || $(quoted "$tool" rmi "$image:$tag") || true"
        else
            { "$tool" manifest rm "$image:$tag" || "$tool" rmi "$image:$tag"; } >/dev/null 2>&1 || true
        fi
        run "$tool" manifest create "$image:$tag" "${members[@]}"
    done
}

push() {
    local platform tag members=()
    if [ "$tool" = docker ]; then
        for platform in "${platforms[@]}"; do
            run docker push "$image:$version-$platform"
            members+=("$image:$version-$platform")
        done
        run docker buildx imagetools create "${tags[@]/#/--tag=$image:}" "${members[@]}"
        run docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image:$version"
        return
    fi
    for tag in "${tags[@]}"; do
        run "$tool" manifest push --all --format oci "${tls[@]}" --digestfile "$context/digest" \
            "$image:$tag" "docker://$image:$tag"
    done
    run cat "$context/digest"
    [ -n "$dry_run" ] || echo
}

for platform in "${platforms[@]}"; do triple "$platform" >/dev/null; done
tool=$(choose_tool)
tls=()
if [ "${TLS_VERIFY:-true}" = false ]; then
    [ "$tool" != docker ] ||
        fail "TLS_VERIFY=false is for buildah and podman: docker has insecure-registries in its daemon.json"
    tls=(--tls-verify=false)
fi

if [ "$mode" = login ]; then
    log_in
    exit
fi
if [ "$mode" = push ] && [ -n "${REGISTRY_USER:-}" ]; then
    # First, so that a wrong password does not wait for the compiler.
    log_in
fi
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ "$revision" = unknown ] || git diff --quiet HEAD 2>/dev/null || revision+=-dirty
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
binaries
build_each
name_locally
if [ "$mode" = push ]; then
    push
elif [ -z "$dry_run" ]; then
    for platform in "${platforms[@]}"; do
        size=$(stat -c %s "$(binary "$platform")")
        awk -v name="$image:$version-$platform" -v size="$size" \
            'BEGIN { printf "%s: one file of %d bytes (%.2f MiB)\n", name, size, size / 1048576 }'
    done
fi
