// node browser.mjs JOB.json: opens a page in headless Chromium, runs steps, prints JSON.
//
// JOB: {url, width, height, chromium (path or ""), steps: [{run, screenshot}]}. `run`
// is an expression, awaited in the page; `screenshot` a path for a PNG after it.
// Prints {results: [...], errors: [console errors and exceptions]}.
import fs from "node:fs";
import puppeteer from "puppeteer-core";

const job = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
let executablePath = job.chromium;
if (!executablePath) {
  const { default: chromium } = await import("@sparticuz/chromium");
  executablePath = await chromium.executablePath();
}
const browser = await puppeteer.launch({
  executablePath,
  headless: true,
  args: [
    "--no-sandbox",
    "--allow-file-access-from-files",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--hide-scrollbars",
  ],
});
const errors = [];
try {
  const page = await browser.newPage();
  await page.setViewport({ width: job.width, height: job.height });
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  await page.goto(job.url, { waitUntil: "load" });
  const results = [];
  for (const step of job.steps) {
    results.push((await page.evaluate(step.run)) ?? null);
    if (step.screenshot) await page.screenshot({ path: step.screenshot });
  }
  console.log(JSON.stringify({ results, errors }));
} finally {
  await browser.close();
}
