mod handles;
