export { lifecycle } from './lifecycle.js';
export { endpoint } from './endpoint.js';
export { training } from './training.js';
export { policy } from './policy.js';
