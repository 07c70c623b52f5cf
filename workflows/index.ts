export { lifecycle } from './lifecycle.js';
export { endpoint } from './endpoint.js';
export { training } from './training.js';
