#!/bin/sh
# Adapts an encoder to classification and a diffusion model to a style, then compares the two.
#
#   run.sh [FOLDER]            as in configs/: an hour on two CPU cores
#   run.sh --quick [FOLDER]    a minute: 96 texts and 8 pictures of this folder
#
# Runs, the page and its figure go to FOLDER (default: runs/adapt). What is there already is not
# run again, so an interrupted call goes on where it stopped.
set -eu

here=$(dirname "$0")
quick=no
if [ "${1:-}" = "--quick" ]; then
    quick=yes
    shift
fi
out=${1:-runs/adapt}
mkdir -p "$out"

if [ "$quick" = yes ]; then
    loadsheet adapt text --config "$here/configs/text-quick.toml" --runs "$out/runs" \
        --data "$here/texts.csv" --domain-column domain
    for method in lora-r4-attention full; do
        if [ ! -e "$out/$method" ]; then
            loadsheet adapt image --data "$here/pictures" --method "$method" --steps 6 \
                --batch-size 2 --out "$out/$method" --runs "$out/runs"
        fi
    done
else
    loadsheet adapt text --config "$here/configs/text.toml" --runs "$out/runs"
    loadsheet adapt image --config "$here/configs/image.toml" --runs "$out/runs"
fi

loadsheet adapt compare --runs "$out/runs" --out "$out/comparison.md" --figure "$out/comparison.svg"
loadsheet runs list --runs "$out/runs"
