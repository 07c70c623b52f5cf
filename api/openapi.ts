import { z } from 'zod';
import { notificationSchema } from '../formats/alertmanager.js';
import { alertsBody, askedBody, errorBody, healthBody, readyBody, releaseBody } from './shapes.js';

const SHAPES = {
  ReleaseRequest: releaseBody,
  SignedRequest: askedBody,
  Notification: notificationSchema,
  Alerts: alertsBody,
  Error: errorBody,
  Health: healthBody,
  Ready: readyBody,
} as const;

const ref = (name: keyof typeof SHAPES): object => ({ $ref: `#/components/schemas/${name}` });
const json = (name: keyof typeof SHAPES, description: string): object => ({
  description,
  content: { 'application/json': { schema: ref(name) } },
});
const text = (description: string): object => ({
  description,
  content: { 'text/plain': { schema: { type: 'string' } } },
});
const refusals = (codes: Readonly<Record<string, string>>): object =>
  Object.fromEntries(Object.entries(codes).map(([status, why]) => [status, json('Error', why)]));

/** OpenAPI 3.1: the shapes are those that the listener itself checks with. */
export function openApiDocument(): object {
  const schemas = Object.entries(SHAPES).map(
    ([name, shape]) => [name, z.toJSONSchema(shape, { io: 'input' })] as const,
  );
  return {
    openapi: '3.1.0',
    info: {
      title: 'Custody api',
      version: '1',
      description: 'Signs requests for workloads that prove who they are by an OpenID Connect token.',
      license: { name: 'Apache 2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    paths: {
      '/v1/requests/release': {
        post: {
          operationId: 'requestRelease',
          summary: "Signs a request to release, in the name of the token's workload. Nothing is started",
          security: [{ oidc: [] }],
          requestBody: { required: true, content: { 'application/json': { schema: ref('ReleaseRequest') } } },
          responses: {
            '201': json('SignedRequest', 'The signed request, and the workflow to start with it within the hour'),
            ...refusals({
              '400': 'The body does not have this shape, or something is in the query string',
              '401': 'No token, or one that is not genuine, current and of an issuer and audience of the policy',
              '403': 'The token is genuine, but the policy lets nobody with its claims ask',
              '408': 'The call took too long',
              '413': 'The body is too large',
              '415': 'The body is not application/json',
              '431': 'The headers are too large',
              '500': 'The api failed',
              '503': "The policy has not been delivered yet, or the issuer's keys cannot be had",
            }),
          },
        },
      },
      '/v1/alerts': {
        post: {
          operationId: 'alerts',
          summary: "Alertmanager's webhook: signs each firing alert, once, and hands it to the model's endpoint",
          security: [{ alertmanager: [] }],
          requestBody: { required: true, content: { 'application/json': { schema: ref('Notification') } } },
          responses: {
            '200': json('Alerts', 'All that fires has been handed on'),
            ...refusals({
              '400':
                'The body is no notification of version 4, or an alert in it names no model; the others were handed on',
              '401': "No token, or one that is not Alertmanager's",
              '403': 'The policy does not let this key sign alerts',
              '404': 'No Alertmanager is expected here',
              '408': 'The call took too long',
              '413': 'The body is too large',
              '415': 'The body is not application/json',
              '431': 'The headers are too large',
              '500': 'The api failed',
              '503': 'No policy yet, Temporal does not answer, or too many in a minute: tell them again',
            }),
          },
        },
      },
      '/healthz': {
        get: { operationId: 'health', summary: 'Whether it runs', responses: { '200': json('Health', 'It runs') } },
      },
      '/readyz': {
        get: {
          operationId: 'ready',
          summary: 'Whether it could sign: it has a policy that is in force and lets it',
          responses: {
            '200': json('Ready', 'It could'),
            ...refusals({ '403': 'The policy has expired, or does not let this key sign', '503': 'No policy yet' }),
          },
        },
      },
      '/metrics': {
        get: {
          operationId: 'metrics',
          summary: 'Counters in the Prometheus text format',
          responses: { '200': text('Prometheus text') },
        },
      },
      '/openapi.json': {
        get: {
          operationId: 'openapi',
          summary: 'This document',
          responses: {
            '200': { description: 'OpenAPI 3.1', content: { 'application/json': { schema: { type: 'object' } } } },
          },
        },
      },
    },
    components: {
      schemas: Object.fromEntries(schemas),
      securitySchemes: {
        alertmanager: { type: 'http', scheme: 'bearer', description: "Alertmanager's token" },
        oidc: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'An OpenID Connect token' },
      },
    },
  };
}
