// node validate.mjs FILE.glb: the report of Khronos' glTF validator as JSON.
import fs from "node:fs";
import validator from "gltf-validator";

const bytes = new Uint8Array(fs.readFileSync(process.argv[2]));
console.log(JSON.stringify(await validator.validateBytes(bytes)));
