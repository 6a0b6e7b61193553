#!/usr/bin/env bash
# First what Savor is for: a photo and a sentence find recipes of the starter cookbook, and the page shows them. Then how a model is made: data,
# features, two methods, their table, an index and a search.
# `make demo` makes it on a toy kitchen, `make demo DATA=folder` on recipes with the partitions train, val and test; OUT moves the results.
# On a terminal the page stays up until Ctrl-C.
set -euo pipefail

data=${DATA:-}
out=${OUT:-out/demo${data:+-$(basename "$data")}}
dish=src/savor/cookbook/photos/shakshuka.webp
mkdir -p "$out"

run() {  # show a command as one would type it, then run it
  printf '\n$'
  for word in "$@"; do
    case $word in *[!A-Za-z0-9_./=-]*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
  done
  printf '\n'
  "$@"
}

run savor search --photo "$dish" -k 5
run savor search --text "something with chickpeas and spinach, no dairy" -k 5

printf '\n$ savor serve --read-only --port 0\n'
savor serve --read-only --port 0 > "$out/address" &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
until [ -s "$out/address" ]; do
  kill -0 "$server" 2>/dev/null || { echo "savor serve did not start" >&2; exit 1; }
  sleep 0.2
done
address=$(cat "$out/address")
run python scripts/check_service.py "$address" "$dish"

if [ -z "$data" ]; then
  data=$out/kitchen
  run savor data toy "$data"
fi

run savor data check "$data"
run savor features "$data" --out "$out/features"

for method in cca triplet_mlp; do
  rm -rf "${out:?}/$method"
  run savor train "$method" --features "$out/features" --out "$out/$method"
  for split in val test; do
    run savor evaluate "$out/$method" --features "$out/features" --split "$split" --json "$out/$method-$split.json"
  done
done

rm -rf "$out/index"
run savor index "$out/triplet_mlp" --features "$out/features" --split test --out "$out/index"
run python scripts/one_photo.py "$data" --split test --out "$out/photo.jpg"
run savor search "$out/index" --photo "$out/photo.jpg" -k 5 --html "$out/gallery.html"
run savor search "$out/index" --text "soup with carrots" -k 5
run savor search "$out/index" --text "soup with carrots" --find photos -k 5

python scripts/results_page.py "$out" > "$out/results.md"
printf '\nThe page of results, %s:\n\n' "$out/results.md"
cat "$out/results.md"

printf '\nThe starter cookbook, to look at: %s\n' "$address"
if [ -t 1 ]; then
  echo "Ctrl-C stops it."
  wait "$server"
fi
