#!/bin/sh
# The tables of an ablation on people of whom everything is known: the synthetic ones of
# our own template, vertex by vertex, and identities of ICT-FaceKit, surface by surface,
# since their topology is another.
#
#   examples/ablation_tables.sh ICT_FACEKIT_DIR OUTPUT_DIR NAME=RUN_DIR...
#
# for instance with a=runs/a b=runs/b c=runs/c d=runs/d final=runs/final, runs that
# pface_train made with gin/papers/personalized_face/ablation_a.gin and so on. What is
# there already is not made again. PERSONS=4 people of each kind are the default, and
# SECONDS_EACH=7 of each.
set -eu
if [ $# -lt 3 ]; then
  echo "usage: $0 ICT_FACEKIT_DIR OUTPUT_DIR NAME=RUN_DIR..." >&2
  exit 1
fi
ict=$1
out=$2
shift 2
persons=${PERSONS:-4}
seconds=${SECONDS_EACH:-7}
for run; do
  shift
  set -- "$@" "--checkpoint=$run"
done
mkdir -p "$out"

pface_synthesize_data --output_dir="$out/clips" --persons="$persons" --seed=900 \
  --seconds="$seconds"
pface_evaluate --benchmark=synthetic --data_dir="$out/clips" \
  --output_dir="$out/synthetic" --gin_param="Synthetic.fps = 2.0" "$@"

# Weights of the first eight identity modes, in standard deviations: a row a person.
i=0
for weights in 1,-1,0.5,0,0.5,-0.5,0,0.5 -1,0.5,1,-0.5,0,0.5,0.5,0 \
  0.5,1,-1,0.5,-0.5,0,-0.5,0.5 -0.5,-1,-0.5,1,0.5,0.5,0,-0.5 \
  1.5,0,0.5,-1,0,-0.5,1,0 -1.5,0.5,0,0.5,-1,0,0.5,0.5 \
  0,1.5,0.5,0.5,0.5,-1,0,0 0,-1.5,1,0,-0.5,0.5,-1,0.5; do
  i=$((i + 1))
  [ "$i" -le "$persons" ] || break
  [ -f "$out/ict_$i.npz" ] || pface_build_template --source=ict_facekit \
    --input_dir="$ict" --identity_weights="$weights" --output="$out/ict_$i.npz"
  pface_synthesize_data --template="$out/ict_$i.npz" --output_dir="$out/ict_clips_$i" \
    --persons=1 --seed="$((900 + i))" --seconds="$seconds" --scans_dir="$out/scans"
done
pface_evaluate --benchmark=scans --data_dir="$out/scans" --output_dir="$out/ict" "$@"
