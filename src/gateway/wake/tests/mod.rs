mod handles;
mod replicas;
mod world;
