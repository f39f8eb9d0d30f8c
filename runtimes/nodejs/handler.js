// Finds the function that a handler name means, and loads it.

const fs = require('fs');
const { Fault } = require('./errors');

const NEWEST_WITHOUT_MODULES = 12;

/** Finds the file of a handler and loads it: `.js`, `.cjs`, `.mjs`, or a package, in Lambda's order. */
async function loadModule(root, folder, name) {
  const path = require('path');
  const file = path.resolve(root, folder, name);
  if (fs.existsSync(file) && fs.statSync(file).isFile()) return require(file);
  const module = fs.existsSync(file + '.js') && isModuleScope(path, path.dirname(file));
  if (module) return importModule(file + '.js');
  if (fs.existsSync(file + '.js')) return require(file + '.js');
  if (fs.existsSync(file + '.mjs')) return importModule(file + '.mjs');
  if (fs.existsSync(file + '.cjs')) return require(file + '.cjs');
  if (fs.existsSync(file)) return require(file); // a folder with an index.js or a package.json
  return require(require.resolve(name, { paths: [root, path.resolve(root, folder)] }));
}

/** Whether the nearest package.json says `"type": "module"`. */
function isModuleScope(path, start) {
  for (let folder = start; ; folder = path.dirname(folder)) {
    if (path.basename(folder) === 'node_modules') return false;
    try {
      return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')).type === 'module';
    } catch (error) {
      if (error.code !== 'ENOENT') return false;
    }
    if (folder === path.dirname(folder)) return false;
  }
}

function importModule(file) {
  if (parseInt(process.versions.node, 10) < NEWEST_WITHOUT_MODULES) {
    throw new Fault(
      'ImportModuleError',
      "Error: ES modules need Node.js 12 or later, this is " + process.version + ": '" + file + "'"
    );
  }
  return import(require('url').pathToFileURL(file).href);
}

/** The function that a handler name (`file.export`, `folder/file.outer.inner`) means. Throws Fault. */
async function load(root, name) {
  if (name.indexOf('..') >= 0) {
    throw new Fault(
      'MalformedHandlerName',
      "'" + name + "' is not a valid handler name. Use absolute paths when specifying root directories in handler names."
    );
  }
  const cut = name.lastIndexOf('/') + 1;
  const parts = name.slice(cut).match(/^([^.]*)\.(.*)$/);
  if (!parts) throw new Fault('MalformedHandlerName', 'Bad handler');
  let found;
  try {
    found = await loadModule(root, name.slice(0, cut), parts[1]);
  } catch (error) {
    if (error instanceof Fault) throw error;
    if (error instanceof SyntaxError) throw new Fault('UserCodeSyntaxError', String(error), error);
    if (error && (error.code === 'MODULE_NOT_FOUND' || error.code === 'ERR_MODULE_NOT_FOUND')) {
      throw new Fault('ImportModuleError', String(error), error);
    }
    throw error;
  }
  const value = parts[2].split('.').reduce((outer, key) => outer && outer[key], found);
  if (!value) throw new Fault('HandlerNotFound', name + ' is undefined or not exported');
  if (typeof value !== 'function') throw new Fault('HandlerNotFound', name + ' is not a function');
  return value;
}

/** Makes the modules of layers known, whose place NODE_PATH says. */
function knowLayers(named) {
  if (!named && !fs.existsSync('/opt/nodejs')) return;
  // node has read NODE_PATH already; layers and a late environment come after
  const known = process.env.NODE_PATH ? process.env.NODE_PATH.split(':') : [];
  const own = '/opt/nodejs/node' + parseInt(process.versions.node, 10) + '/node_modules';
  // usually they are named there already
  const more = known.includes('/opt/nodejs/node_modules') ? [] : [own, '/opt/nodejs/node_modules'];
  process.env.NODE_PATH = known.concat(more).join(':');
  require('module')._initPaths();
}

/** Loads what the loading of a handler would be the first to load. */
function warmUp() {
  require('path');
  require('url');
  require('module');
  fs.existsSync('/var/task/index.js');
}

Object.assign(exports, { load, knowLayers, warmUp });
