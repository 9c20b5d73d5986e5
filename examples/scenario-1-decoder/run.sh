#!/bin/sh
# A decoder from nothing, and what its parts buy.
#
#   sh run.sh          the stored run: WordNet and Brown (fetched by npm), then all ablations
#   sh run.sh quick    the same path in about a minute, on the small text beside this file
#
# Results go to ./decoder (a model folder) and ./runs. Stored ones lie in this folder's runs/.
set -eu
here=$(dirname "$0")
prefix=${1:+$1-}
config=$here/configs/${1:-decoder}.toml
corpus=${1:+--corpus $here/glosses.txt}
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

# shellcheck disable=SC2086  # nothing, or the flag and its file
loadsheet train text --out decoder --config "$config" $corpus
loadsheet generate --model decoder --prompt "harbor (noun):" --temperature 0.7 --seed 0 --max-tokens 40

study() {
    if [ -f "$here/configs/$prefix$1.toml" ]; then set -- "$@" --config "$here/configs/$prefix$1.toml"; fi
    loadsheet train ablation "$@"
}
study kv-cache
study attention
# shellcheck disable=SC2086
study mixers $corpus
study jax --model decoder
loadsheet runs list
