// Opens a page in Debian's Chromium, as a reader would: what it shows, whether it comes alive, what a click brings.
// `node read.js ADDRESS`; one document of JSON on standard output.
'use strict';

const { chromium } = require('playwright-core');

async function main(address) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // The tests run as root, where Chromium's own sandbox does not start.
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
  try {
    const page = await browser.newPage();
    const said = [];
    const asked = [];
    page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => said.push(`error: ${error.message}`));
    page.on('request', (request) => asked.push(request.url()));
    await page.goto(address, { waitUntil: 'commit' });
    // The shell, before the late part came.
    await page.waitForSelector('tbody tr:nth-child(200)');
    const early = await page.textContent('body');
    await page.waitForSelector('#best');
    const button = page.locator('#ask');
    // React marks what it has taken over.
    await page.waitForFunction(() => {
      const ask = document.querySelector('#ask');
      return ask && Object.keys(ask).some((name) => name.startsWith('__reactProps'));
    });
    const before = await page.textContent('#quote');
    await button.click();
    await page.waitForFunction(() => document.querySelector('#quote').textContent !== '');
    const shown = {
      early: early.includes('正在计算'),
      rows: await page.locator('tbody tr').count(),
      first: await page.locator('tbody tr:first-child td').allTextContents(),
      best: await page.textContent('#best'),
      before,
      quote: await page.textContent('#quote'),
      said,
      asked,
    };
    console.log(JSON.stringify(shown));
  } finally {
    await browser.close();
  }
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
